import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

const prefix = 'scratch-'
const inUse = new Set()
process.once('exit', () => inUse.forEach(remove))

/**
 * A folder beside `place` to make it in, so that the finished file can be renamed into place whole. Call it under the
 * lock of that place: what earlier, killed runs left beside it is removed first.
 */
export async function inScratch(place, work) {
  const parent = dirname(place)
  mkdirSync(parent, { recursive: true })
  for (const name of readdirSync(parent)) if (name.startsWith(prefix)) remove(join(parent, name))
  const folder = mkdtempSync(join(parent, prefix))
  inUse.add(folder)
  try {
    return await work(folder)
  } finally {
    inUse.delete(folder)
    remove(folder)
  }
}

const remove = (folder) => rmSync(folder, { recursive: true, force: true })
