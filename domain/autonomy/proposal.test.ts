import fc from 'fast-check'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { modes, type Mode } from '../remediation.ts'
import { enough, propose, quietMs, type Evidence, type Proposal } from './proposal.ts'
import { wilsonLowerBound } from './wilson.ts'

const seed = printedSeed('proposals')

const nowMs = Date.UTC(2026, 5, 3, 12)
const none: Evidence = { suggestions: { agreed: 0, ignored: 0 }, approvals: { approved: 0, declined: 0 }, acts: { healed: 0, bad: 0 }, lastBadAtMs: null }
const suggested = (agreed: number, ignored = 0): Partial<Evidence> => ({ suggestions: { agreed, ignored } })
const asked = (approved: number, declined = 0): Partial<Evidence> => ({ approvals: { approved, declined } })
const acted = (healed: number, bad = 0): Partial<Evidence> => ({ acts: { healed, bad } })
const at = (rung: Mode | null, evidence: Partial<Evidence>, ceiling: Mode | null = 'auto') => propose({ rung, ceiling, evidence: { ...none, ...evidence } }, nowMs)

test.each<[string, Mode, Partial<Evidence>, Proposal['proposal'], RegExp]>([
  ['sixteen suggestions of sixteen taken up', 'suggest', suggested(16), 'approve', /^16 of 16 suggestions taken up vouch for 80 %$/],
  ['fifteen of fifteen', 'suggest', suggested(15), null, /15 of 15 suggestions taken up vouch for 79 %, wanted at least 80 %/],
  ['one of twenty-five left aside', 'suggest', suggested(24, 1), 'approve', /24 of 25/],
  ['one of twenty-four left aside', 'suggest', suggested(23, 1), null, /23 of 24/],
  ['approvals, where suggestions are asked for', 'suggest', asked(100), null, /0 of 0 suggestions/],
  ['sixteen approved and healed', 'approve', { ...asked(16), ...acted(16) }, 'auto', /^16 of 16 questions approved vouch for 80 %; 16 of 16 acts healed vouch for 80 %$/],
  ['approved, and too few healed', 'approve', { ...asked(16), ...acted(15) }, null, /^for `auto` 15 of 15 acts healed vouch for 79 %/],
  ['healed, and too few approved', 'approve', { ...asked(15), ...acted(16) }, null, /^for `auto` 15 of 15 questions approved/],
  ['nothing at all', 'approve', none, null, /0 of 0 questions approved vouch for 0 %, .*; 0 of 0 acts healed/],
  ['a perfect record at the top', 'auto', { ...asked(99), ...acted(99) }, null, /caps nothing here/],
  ['nothing, where a person put it at `observe`', 'observe', none, 'suggest', /at `suggest` nothing acts either/],
])('%s at `%s`', (_name, rung, evidence, proposal, why) => {
  expect(at(rung, evidence)).toEqual({ mode: rung, proposal, held: rung !== 'auto', why: expect.stringMatching(why) })
})

test('a bad outcome of the last seven days holds everything, and no older one does', () => {
  const good = { ...asked(50), ...acted(49, 1) }
  expect(at('approve', { ...good, lastBadAtMs: nowMs - quietMs + 1 })).toMatchObject({ proposal: null, why: expect.stringMatching(/has to be 7 days old and is 6$/) })
  expect(at('approve', { ...good, lastBadAtMs: nowMs - quietMs })).toMatchObject({ proposal: 'auto' })
})

test.each<[Mode | null, Mode | null, Mode, boolean]>([
  [null, 'suggest', 'suggest', false],
  ['auto', 'suggest', 'suggest', false],
  ['approve', 'suggest', 'suggest', false],
  ['suggest', 'suggest', 'suggest', true],
  ['suggest', null, 'suggest', true],
])('with a rung at %s under a ceiling of %s it stands at `%s`, held by the ladder: %s', (rung, ceiling, mode, held) => {
  const proposed = at(rung, suggested(20), ceiling)
  expect(proposed).toMatchObject({ mode, held, proposal: 'approve' })
  expect(proposed.why.includes('raise it there')).toBe(!held)
})

test('whatever the counts, it proposes the next rung or none, and only with every bound met', () => {
  const count = fc.integer({ min: 0, max: 60 })
  const evidence = fc.record({
    suggestions: fc.record({ agreed: count, ignored: count }), approvals: fc.record({ approved: count, declined: count }), acts: fc.record({ healed: count, bad: count }),
    lastBadAtMs: fc.option(fc.integer({ min: nowMs - 2 * quietMs, max: nowMs })),
  })
  const mode = fc.constantFrom(...modes)
  fc.assert(fc.property(fc.option(mode), fc.option(mode), evidence, (rung, ceiling, given) => {
    const { mode: stands, proposal } = propose({ rung, ceiling, evidence: given }, nowMs)
    if (proposal === null || proposal === 'suggest') return
    expect(modes.indexOf(proposal)).toBe(modes.indexOf(stands) + 1)
    expect(given.lastBadAtMs === null || nowMs - given.lastBadAtMs >= quietMs).toBe(true)
    const { suggestions, approvals, acts } = given
    const agreed = proposal === 'approve' ? [suggestions.agreed, suggestions.ignored] : [approvals.approved, approvals.declined]
    const shares = [agreed, ...(proposal === 'auto' ? [[acts.healed, acts.bad]] : [])] as [number, number][]
    for (const [yes, no] of shares) expect(wilsonLowerBound(yes, yes + no)).toBeGreaterThanOrEqual(enough)
  }), { numRuns: playsAll ? 20_000 : 1_000, seed })
})
