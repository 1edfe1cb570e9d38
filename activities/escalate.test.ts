import { expect, test } from '@jest/globals'
import type { Waiting } from '../adapters/postgres/escalations.ts'
import type { DecisionDeps } from './deps.ts'
import { escalate } from './escalate.ts'

const minute = 60_000
const due: Waiting = { rules: [{ group: 'dba', to: 'sre', afterMs: 5 * minute }], askedAt: '', waitedMs: 5 * minute, wanted: ['dba'], done: [] }

async function escalated(waiting: Partial<Waiting>) {
  const recorded: object[] = []
  const store = { waitingOf: async () => ({ ...due, ...waiting }), recordEscalation: async (_db: unknown, row: object) => recorded.push(row) > 0 }
  const result = await escalate({ db: {}, store } as unknown as DecisionDeps)({ id: 'r', cluster: 'main', digest: 'd', group: 'dba', to: 'sre' })
  return { ...result, recorded }
}

test('what is due is put on record', async () => {
  expect(await escalated({})).toEqual({ escalated: true, summary: '`sre` may speak for `dba`, which has been missing for 5 min', recorded: [{ id: 'r', planDigest: 'd', group: 'dba', to: 'sre' }] })
  expect(await escalated({ waitedMs: 5 * minute - 900 })).toMatchObject({ escalated: true })
})

test.each<[string, Partial<Waiting>]>([
  ['whose rule is gone', { rules: [] }],
  ['whose rule leads elsewhere by now', { rules: [{ group: 'dba', to: 'leads', afterMs: minute }] }],
  ['whose rule waits for longer by now', { rules: [{ group: 'dba', to: 'sre', afterMs: 9 * minute }] }],
  ['that nobody asks for', { wanted: ['other'] }],
])('a group %s is not escalated', async (_name, waiting) => expect(await escalated(waiting)).toMatchObject({ escalated: false, recorded: [] }))
