import { chmodSync, closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import type { Knex } from 'knex'
import { countApiKeys, createFirstApiKey } from '../adapters/postgres/keys.ts'
import { newApiKey } from './authentication.ts'

export type FirstKeyOptions = {
  /** Where to leave the key, readable by its owner alone. Undefined: shown once by `show`. */
  file: string | undefined
  show: (line: string) => void
}

const dayMs = 86_400_000
const lifeDays = 90

/**
 * An installation without any key gets one, for an admin. However many processes start at once, one key is made.
 * The file is written before the row commits to a place of its own: a key nobody was told would lock everyone out.
 */
export async function ensureFirstKey(db: Knex, { file, show }: FirstKeyOptions): Promise<'made' | 'there'> {
  if ((await countApiKeys(db)) > 0) return 'there'
  const { key, draft } = newApiKey({ name: 'first key', roles: ['admin'], owner: 'first-admin', expiresAt: new Date(Date.now() + lifeDays * dayMs) })
  const draftFile = file && `${file}.${process.pid}`
  if (draftFile) writePrivately(draftFile, `${key}\n`)
  const made = await createFirstApiKey(db, draft).catch((failure: unknown) => {
    if (draftFile) rmSync(draftFile, { force: true })
    throw failure
  })
  if (draftFile && file) {
    if (made) renameSync(draftFile, file)
    else rmSync(draftFile, { force: true })
  } else if (made) {
    show(`the first API key (role admin, shown this once, good for ${lifeDays} days): ${key}`)
  }
  return made ? 'made' : 'there'
}

export function writePrivately(path: string, text: string): void {
  const descriptor = openSync(path, 'w', 0o600)
  chmodSync(path, 0o600)
  writeSync(descriptor, text)
  fsyncSync(descriptor)
  closeSync(descriptor)
}
