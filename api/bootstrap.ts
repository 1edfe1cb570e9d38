import { renameSync, rmSync } from 'node:fs'
import type { Knex } from 'knex'
import { systemActor } from '../adapters/postgres/ledger.ts'
import { firstBootstrap } from '../adapters/postgres/users.ts'
import { sha256Hex } from '../adapters/signing.ts'
import { freshOneTimeToken } from './credentials.ts'
import { writePrivately } from './first-key.ts'

const dayMs = 86_400_000

/**
 * An installation without any account gets a one-time token, left in `file` for its owner alone, with which the first
 * person makes an account that may do everything. Nobody's password is set by us, and once it was used it opens nothing.
 */
export async function ensureBootstrap(db: Knex, file: string): Promise<'made' | 'there'> {
  const token = freshOneTimeToken()
  const draftFile = `${file}.${process.pid}`
  writePrivately(draftFile, `${token}\n`)
  const made = await firstBootstrap(db, { hash: sha256Hex(token), purpose: 'bootstrap', userId: null, lifeMs: dayMs }, systemActor).catch((failure: unknown) => {
    rmSync(draftFile, { force: true })
    throw failure
  })
  if (made) renameSync(draftFile, file)
  else rmSync(draftFile, { force: true })
  return made ? 'made' : 'there'
}
