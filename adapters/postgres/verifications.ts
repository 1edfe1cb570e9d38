import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import type { Verdict } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { systemActor } from './ledger.ts'
import type { StepOf } from './steps.ts'
import { write } from './write.ts'

export type VerificationRow = { id: string; digest: string; verdict: Verdict; evidence: string }

/** How the effect of a plan was judged. Verified again, the newest row counts. */
export const saveVerification = guarded(async (db: Knex, row: VerificationRow, step?: StepOf<void>): Promise<void> => {
  const { id, digest, verdict, evidence } = row
  await write(db, {
    changes: `
      new as (
        insert into ledger.verification (id, digest, verdict, evidence) values (:id, :digest, :verdict, :evidence)
      )`,
    parameters: row,
    entry: { stream: id, stepKey: `verified/${randomUUID()}`, kind: 'verified', actor: systemActor, body: { digest, verdict, evidence } },
    step: step?.(),
  })
})
