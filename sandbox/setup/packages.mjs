import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { locked } from './lock.mjs'
import { checkout, sha256 } from './programs.mjs'
import { during, Missing } from './progress.mjs'
import { run } from './run.mjs'

const lockfile = join(checkout, 'package-lock.json')
const stamp = join(checkout, 'node_modules/.aegis-lock')
const installLimitMs = 20 * 60_000

export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  throw new Missing(
    `Aegis needs Node 20.19 or newer and this is ${process.versions.node}: install a current release from https://nodejs.org (for instance with \`nvm install 20\`).`,
  )
}

/** Makes node_modules match package-lock.json, and does nothing when it does. */
export async function ensurePackages() {
  if (isCurrent()) return
  await locked(`packages-${sha256(checkout).slice(0, 12)}`, async () => {
    if (isCurrent()) return // another run did it while we waited
    if (!matchesInstalled()) {
      await during('npm packages: npm ci', () =>
        run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: checkout, limitMs: installLimitMs }).catch(explain),
      )
    }
    writeFileSync(stamp, wanted())
  })
}

const wanted = () => sha256(readFileSync(lockfile))

const isCurrent = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted()

/** After a developer's own `npm install` nothing needs to be done: npm's record of what it installed agrees. */
function matchesInstalled() {
  const record = join(checkout, 'node_modules/.package-lock.json')
  if (!existsSync(record)) return false
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  const locked = Object.entries(JSON.parse(readFileSync(lockfile, 'utf8')).packages).filter(([path]) => path !== '')
  const agrees = ([path, { version, optional }]) =>
    installed[path] ? installed[path].version === version : optional === true
  return locked.every(agrees)
}

function explain(error) {
  if (error.code === 'ENOENT') throw new Missing('Aegis needs npm, which comes with Node: install Node 20.19 or newer from https://nodejs.org.')
  throw error
}
