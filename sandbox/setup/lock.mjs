import { mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cache } from './programs.mjs'
import { say } from './progress.mjs'

const beatMs = 5_000
const staleMs = 30_000
const waitLimitMs = 45 * 60_000

const held = new Set()
process.once('exit', () => held.forEach((path) => rmSync(path, { force: true }))) // a failed run keeps nobody waiting

/**
 * One at a time for the same piece of work, so that two runs do not build the same thing twice. The holder touches the
 * file every 5 s; one untouched for 30 s belongs to a run that died. Correctness does not rest on it: results are
 * renamed into place whole, so even two holders could only waste time.
 */
export async function locked(name, work) {
  const path = join(cache, 'locks', name)
  await take(path, name)
  held.add(path)
  const beating = setInterval(() => touch(path), beatMs)
  try {
    return await work()
  } finally {
    clearInterval(beating)
    held.delete(path)
    rmSync(path, { force: true })
  }
}

async function take(path, name) {
  mkdirSync(dirname(path), { recursive: true })
  const deadline = Date.now() + waitLimitMs
  for (let told = false; Date.now() < deadline; await sleep(500)) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (isStale(path)) discard(path)
    else if (!told) told = say(`another run is at work on ${name}; waiting for it`) ?? true
  }
  throw new Error(`another run has held ${path} for ${waitLimitMs / 60_000} min: remove that file if no set-up is running`)
}

const isStale = (path) => {
  const held = statSync(path, { throwIfNoEntry: false })
  return held !== undefined && Date.now() - held.mtimeMs > staleMs
}

// Renamed first: of two who find it stale only one succeeds, and neither removes the other's new lock.
const discard = (path) => {
  const aside = `${path}.${process.pid}.stale`
  try {
    renameSync(path, aside)
    rmSync(aside, { force: true })
  } catch {
    // the other one was faster
  }
}

const touch = (path) => {
  try {
    utimesSync(path, new Date(), new Date())
  } catch {
    // taken over as stale after a long pause of this machine; see above
  }
}
