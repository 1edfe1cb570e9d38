import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Check, Finding } from './finding.ts'

/** What may run inside Aegis: licences that ask for no more than their own notice. */
const allowed = new Set([
  'MIT', 'MIT-0', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'BlueOak-1.0.0', 'Unlicense', 'CC0-1.0', 'Zlib',
  'Python-2.0', 'PSF-2.0',
  'CC-BY-4.0', // browser tables inside the bundler, used as data
])

/** Packages whose package.json is silent; what their licence file says was read by a person. */
const readByAPerson: Record<string, string> = { unionfs: 'Unlicense' }

export type InstalledPackage = { name: string; version: string; licence: string | undefined }

export const licences: Check = {
  name: 'licences',
  run: async (root) => {
    const packages = productionPackages(root)
    return packages.length === 0 ? ['no production package is installed: run `npm ci`'] : forbiddenLicences(packages)
  },
}

export const forbiddenLicences = (packages: readonly InstalledPackage[]): Finding[] =>
  packages
    .filter(({ name, licence }) => !permits(licence ?? readByAPerson[name] ?? ''))
    .map(({ name, version, licence }) =>
      `node_modules: \`${name}@${version}\` has the licence \`${licence ?? 'none stated'}\`, which is not in the list of tests/house/licences.ts: replace it`,
    )

/** `A OR B` needs one of them, `A AND B` both; where the two are mixed, all of them. */
function permits(expression: string): boolean {
  const names = (text: string) => text.split(/ (?:AND|OR) /).every((name) => allowed.has(name))
  const plain = expression.replace(/[()]/g, '').trim()
  return plain.includes(' AND ') ? names(plain) : plain.split(' OR ').some(names)
}

/** Every installed package that `npm ci --omit=dev` installs too. */
export function productionPackages(root: string): InstalledPackage[] {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: boolean; devOptional?: boolean }> }
  return Object.entries(packages)
    .filter(([path, entry]) => path.startsWith('node_modules/') && !entry.dev && !entry.devOptional)
    .map(([path]) => join(root, path, 'package.json'))
    .filter((file) => existsSync(file))
    .map((file) => {
      const { name, version, license, licenses } = JSON.parse(readFileSync(file, 'utf8')) as Manifest
      return { name, version, licence: licenceOf(license ?? licenses) }
    })
}

type Stated = string | { type?: string } | { type?: string }[]
type Manifest = { name: string; version: string; license?: Stated; licenses?: Stated }

/** Old packages write an object or a list of objects; a list offers a choice. */
function licenceOf(stated: Stated | undefined): string | undefined {
  if (typeof stated === 'string' || stated === undefined) return stated
  if (!Array.isArray(stated)) return stated.type
  return stated.map(({ type }) => type ?? '').join(' OR ')
}
