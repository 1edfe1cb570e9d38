/** What a wish for a change would come to over the policies that are in force now, and by which set that was looked at. */
import { z } from 'zod'
import type { Looked } from './policy-wanted.ts'

/** The hash of the set in force that was looked at, as reading the wish shows it; null: none could be proven. */
export const lookedAt = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be the `snapshot` that reading it shows').nullable()

export const nowView = z
  .strictObject({
    /** To be sent with the agreement. */
    snapshot: z.string().nullable(),
    /** What it would let happen, as `why`; null: nothing more than what is in force. */
    why: z.string().nullable(),
    witness: z.record(z.string(), z.unknown()).nullable(),
    /** Why it cannot be put in force as things are. */
    refused: z.string().nullable(),
  })
  .nullable()

/** Null for what was settled. */
export const nowOf = (looked: Looked | null): z.input<typeof nowView> =>
  looked && { snapshot: looked.snapshot, why: looked.grant?.why ?? null, witness: looked.grant?.witness ? { ...looked.grant.witness } : null, refused: looked.refused }
