import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { projectPaths } from './files.ts'
import type { Check, Finding } from './finding.ts'
import { runTool } from './tool.ts'

export const rooms = [
  'domain', 'workflows', 'activities', 'adapters', 'temporal', 'api', 'workers', 'migrations', 'cli', 'web', 'sandbox', 'benchmarks', 'tests',
] as const

type Cruise = {
  modules: { source: string }[]
  summary: { violations: { rule: { name: string }; from: string; to: string }[] }
}

/** What may import what (`.dependency-cruiser.mjs`), over every TypeScript file of every room. */
export const walls: Check = {
  name: 'walls',
  async run(root) {
    const expected = projectPaths(root).filter((path) => /\.tsx?$/.test(path) && rooms.some((room) => path.startsWith(`${room}/`)))
    return breaches(root, root, expected.filter((path) => !path.startsWith('tests/house/fixtures/')))
  },
}

/**
 * Breached walls below `directory`. A cruiser that cannot read TypeScript looks at nothing and is
 * content, so each of the `expected` files has to be among those it looked at.
 */
export async function breaches(root: string, directory: string, expected: readonly string[]): Promise<Finding[]> {
  const cruise = await cruiseRooms(root, directory)
  if (typeof cruise === 'string') return [cruise]
  const seen = new Set(cruise.modules.map(({ source }) => source))
  const missed = expected.filter((path) => !seen.has(path))
  return [
    ...cruise.summary.violations.map(({ rule, from, to }) => `${from}: may not import \`${to}\` (${rule.name} in .dependency-cruiser.mjs)`),
    ...missed.map((path) => `${path}: was not looked at, so its imports are unchecked`),
    ...(seen.size === 0 ? ['no module was looked at: the cruiser cannot read TypeScript'] : []),
  ]
}

async function cruiseRooms(root: string, directory: string): Promise<Cruise | string> {
  const present = rooms.filter((room) => existsSync(join(directory, room)))
  const { stdout, stderr } = await runTool(
    root,
    'dependency-cruiser/bin/dependency-cruise.mjs',
    ['--config', join(root, '.dependency-cruiser.mjs'), '--ts-config', join(root, 'tsconfig.json'), '--output-type', 'json', ...present],
    directory,
  )
  try {
    return JSON.parse(stdout) as Cruise
  } catch {
    return `the cruiser itself failed: ${(stderr + stdout).trim().slice(0, 500)}`
  }
}
