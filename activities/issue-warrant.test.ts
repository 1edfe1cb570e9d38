import { describe, expect, test } from '@jest/globals'
import type { Plan } from '../domain/plan.ts'
import { noObligations } from '../domain/policy/obligations.ts'
import type { Warrant } from '../domain/warrant.ts'
import type { DecisionDeps } from './deps.ts'
import { issueWarrant } from './issue-warrant.ts'

const input = { id: 'r1', cluster: 'main', digest: 'sha256:p', decisionId: 'd1' }
const at = (ms: number) => new Date(ms).toISOString()
const allowing = { decisionId: 'd1', decidedAt: at(5_000), proceed: 'act', planDigest: 'sha256:p', decision: { validUntil: null, obligations: noObligations } }
const landed = { planDigest: 'sha256:p', result: 'applied', decisionId: 'd0', decidedAt: at(1_000), undoSame: false }

type Told = { latest?: object; preflight?: string | null; act?: object | undefined; verdict?: string | null; saved?: string }

function stage({ latest = allowing, preflight = 'clear', act, verdict = null, saved = 'saved' }: Told) {
  const signed: string[] = []
  const deps = {
    db: {},
    store: {
      factsForWarrant: async () => ({ plan: { plan: { target: { cluster: 'main' } } as Plan }, latest, preflight, approvals: [{ answerId: 'a1', at: at(4_000) }, { answerId: 'a2', at: at(5_001) }], act, verdict, now: new Date(5_000) }),
      saveWarrant: async () => saved,
    },
    signer: { keyId: 'k1', sign: (text: string) => (signed.push(text), 'signature') },
    freshId: () => 'w1',
    freshNonce: () => 'n1',
  }
  const issue = issueWarrant(deps as unknown as DecisionDeps)
  return { issue, warrant: () => JSON.parse(signed[0]!) as Warrant }
}

describe('a warrant to act', () => {
  test('names the plan, the decision, the approvals and a minute of life', async () => {
    const { issue, warrant } = stage({})
    await issue({ ...input, phase: 'act' })
    expect(warrant()).toMatchObject({ audience: 'main', planDigest: 'sha256:p', decisionId: 'd1', approvals: ['a1'], issuedAtMs: 5_000, expiresAtMs: 65_000 })
  })
  test('lives no longer than the decision it stands on', async () => {
    const { issue, warrant } = stage({ latest: { ...allowing, decision: { ...allowing.decision, validUntil: 6_000 } } })
    await issue({ ...input, phase: 'act' })
    expect(warrant().expiresAtMs).toBe(6_000)
  })
  test('is over with the minute of its decision: what was decided before is asked again', async () => {
    const { issue, warrant } = stage({ latest: { ...allowing, decidedAt: at(-55_001) } })
    await issue({ ...input, phase: 'act' })
    expect(warrant().expiresAtMs).toBe(4_999)
  })
  test('is not given where the decision obliges to what this version does not know', async () => {
    const latest = { ...allowing, decision: { ...allowing.decision, obligations: { ...noObligations, holdBreath: true } } }
    await expect(stage({ latest }).issue({ ...input, phase: 'act' })).rejects.toMatchObject({ code: 'obligation_unknown', message: expect.stringContaining('holdBreath') })
  })
  test.each([
    ['a newer decision came', { ...allowing, decisionId: 'd2' }],
    ['the decision does not allow it', { ...allowing, proceed: 'ask' }],
    ['the decision is about another plan', { ...allowing, planDigest: 'sha256:q' }],
  ])('is not given when %s', async (_name, latest) => {
    await expect(stage({ latest }).issue({ ...input, phase: 'act' })).rejects.toMatchObject({ kind: 'forbidden', code: 'no_decision' })
  })
  test.each([['none is on record', null], ['it was refused', 'refused']])('is not given on a preflight when %s', async (_name, preflight) => {
    await expect(stage({ preflight }).issue({ ...input, phase: 'act' })).rejects.toMatchObject({ kind: 'forbidden', code: 'no_preflight' })
  })
  test('is not given once the remediation is closed', async () => {
    await expect(stage({ saved: 'closed' }).issue({ ...input, phase: 'act' })).rejects.toMatchObject({ kind: 'conflict' })
  })
})

describe('a warrant to undo', () => {
  test('stands on the decision behind the act, even when policy has changed its mind since', async () => {
    const { issue, warrant } = stage({ latest: { ...allowing, decisionId: 'd9', proceed: 'deny' }, act: landed, verdict: 'worse' })
    await issue({ ...input, phase: 'undo' })
    expect(warrant()).toMatchObject({ phase: 'undo', decisionId: 'd0' })
  })
  test.each([
    ['nothing was done', undefined],
    ['the act did not land', { ...landed, result: 'fenced' }],
    ['another plan was carried out', { ...landed, planDigest: 'sha256:q' }],
  ])('is not given when %s', async (_name, act) => {
    await expect(stage({ act, verdict: 'worse' }).issue({ ...input, phase: 'undo' })).rejects.toMatchObject({ code: 'no_decision' })
  })
  test.each([null, 'better', 'same', 'unknown'])('is not given on the verdict %s', async (verdict) => {
    await expect(stage({ act: landed, verdict }).issue({ ...input, phase: 'undo' })).rejects.toMatchObject({ kind: 'forbidden', code: 'no_verdict' })
  })
  test('is given where nothing changed, if the decision behind the act says so', async () => {
    await expect(stage({ act: { ...landed, undoSame: true }, verdict: 'same' }).issue({ ...input, phase: 'undo' })).resolves.toMatchObject({ warrantId: 'w1' })
  })
})
