import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Check, Finding } from './finding.ts'

export type Lockfile = { packages: Record<string, LockedPackage> }
export type LockedPackage = {
  version?: string
  resolved?: string
  integrity?: string
  link?: boolean
  optional?: boolean
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
}

/**
 * The lockfile installs the same bytes everywhere: no addresses, every platform's packages, and a hash
 * for each package that Linux with glibc on x64 or arm64 installs, which is where Aegis runs.
 */
export const lockfile: Check = {
  name: 'lockfile',
  run: async (root) => lockfileFaults(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lockfile),
}

export function lockfileFaults({ packages }: Lockfile): Finding[] {
  const locked = Object.entries(packages).filter(([path, entry]) => path.includes('node_modules/') && !entry.link)
  return [
    ...locked.filter(([, { resolved }]) => resolved !== undefined).map(([path]) =>
      `package-lock.json: \`${path}\` names the address it came from: run \`npm install --package-lock-only\` with this project's .npmrc`),
    ...locked.filter(([, entry]) => entry.integrity === undefined && !isForeign(entry)).map(([path]) =>
      `package-lock.json: \`${path}\` has no integrity hash: run \`npm install --package-lock-only\``),
    ...missingPlatforms(packages),
    ...unevenTemporal(locked),
  ]
}

/** Named only so that `npm ci` works on a developer's other platform; npm takes its hash at install. */
const isForeign = ({ optional = false, os = ['linux'], cpu = ['x64'], libc = ['glibc'] }: LockedPackage): boolean =>
  optional && !(os.includes('linux') && (cpu.includes('x64') || cpu.includes('arm64')) && libc.includes('glibc'))

/** `npm ci` on another platform stops at an optional package that the lockfile does not know. */
function missingPlatforms(packages: Lockfile['packages']): Finding[] {
  const known = new Set(Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)))
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => !known.has(name)).map((name) =>
      `package-lock.json: \`${name}\`, which \`${path}\` needs on another platform, is absent: \`npm ci\` fails there`),
  )
}

/** The SDK's parts share a wire format and a native module: one version, or replay and workers break. */
function unevenTemporal(locked: readonly (readonly [string, LockedPackage])[]): Finding[] {
  const found = locked.filter(([path]) => path.startsWith('node_modules/@temporalio/') && !path.includes('/node_modules/', 1))
  const versions = new Set(found.map(([, { version }]) => version))
  return versions.size > 1 ? [`package-lock.json: the @temporalio packages have versions ${[...versions].join(', ')}: pin them to one`] : []
}
