import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Check, Finding } from './finding.ts'

/** File name in `migrations/` to the SHA-256 it was released with. */
export type Released = Record<string, string>

/** Written at each release. Until the first one, every migration may still change. */
const list = 'migrations/released.json'

export const migrations: Check = {
  name: 'migrations',
  async run(root) {
    if (!existsSync(join(root, list))) return []
    const released = JSON.parse(readFileSync(join(root, list), 'utf8')) as Released
    return changedMigrations(released, (name) => readOrMissing(join(root, 'migrations', name)))
  },
}

/** A database that ran the old text would never learn of the new one. */
export const changedMigrations = (released: Released, read: (name: string) => string | undefined): Finding[] =>
  Object.entries(released).flatMap(([name, digest]) => {
    const text = read(name)
    if (text === undefined) return [`migrations/${name}: was released and is gone: restore it`]
    if (createHash('sha256').update(text, 'utf8').digest('hex') === digest) return []
    return [`migrations/${name}: was released and has changed: restore it and write a new migration`]
  })

const readOrMissing = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)
