import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock } from '../../adapters/policies/zones.ts'
import { playsAll } from '../../tests/helpers/draw.ts'
import { minuteMs, parseDuration } from './calendar.ts'
import { decide } from './decide.ts'
import type { Condition, PolicyDocument } from './document.ts'
import type { PolicyInput } from './input.ts'
import { compileSnapshot } from './snapshot.ts'
import { anyLeaf, documentWith, extra, input, read } from './testing/arbitraries.ts'
import { inWindow } from './testing/reference.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const decided = (documents: readonly PolicyDocument[], request: PolicyInput) => decide(compileSnapshot(documents, { sha256, wallClock }), request)

// Policies for whatever is asked, so that which of them concern a request needs no second opinion.
const everywhere = { actions: ['*'], resources: ['**'], type: ['self_healing', 'api_access'] }
const asking = fc.array(documentWith(anyLeaf), { minLength: 1, maxLength: 4 }).map((all) => all.map((one, at) => read({ ...one, ...everywhere }, `p${at}`)))
const sure = documentWith(anyLeaf, 'require_approval').map((one) => read({ ...one, ...everywhere, when: { all: [] }, unless: { any: [] }, validity: {} }, 'ask'))
const person = (name: string, at: number) => ({ principalId: name, owner: name, roles: ['approver' as const, 'admin' as const], groups: ['a', 'b', 'c'], at })
const approvedMinutesAgo = fc.integer({ min: 0, max: 240 })
const withApprovals = (request: PolicyInput, minutesAgo: number): PolicyInput => {
  const at = request.now - minutesAgo * minuteMs
  return { ...request, approvals: Array.from({ length: 10 }, (_, n) => person(`person-${n}`, at)) }
}

type Windows = Extract<Extract<Condition, { time: unknown }>['time'], { windows: unknown }>

function windowsIn(condition: Condition): Windows[] {
  if ('all' in condition) return condition.all.flatMap(windowsIn)
  if ('any' in condition) return condition.any.flatMap(windowsIn)
  if ('not' in condition) return windowsIn(condition.not)
  return 'time' in condition && 'windows' in condition.time ? [condition.time] : []
}

/** Whether any window or validity of the policies turned in (from, to], minute by minute. */
function anythingTurned(documents: readonly PolicyDocument[], from: number, to: number): boolean {
  const windows = documents.flatMap(({ when, unless }) => [...windowsIn(when), ...windowsIn(unless)])
  const ends = documents.flatMap(({ validity: { notBefore, notAfter } }) => [notBefore, notAfter]).flatMap((text) => (text === null ? [] : [Date.parse(text)]))
  if (ends.some((end) => end > from && end <= to)) return true
  const open = ({ zone, windows: spans }: Windows, at: number): boolean => spans.some((span) => inWindow(span, wallClock(zone, at)!))
  return windows.some((one) => {
    for (let at = from + minuteMs; at <= to; at += minuteMs) if (open(one, at) !== open(one, from)) return true
    return false
  })
}

const shortestTtl = (documents: readonly PolicyDocument[]): number => Math.min(Infinity, ...documents.map(({ obligations: { approvalTtl } }) => (approvalTtl === undefined ? Infinity : parseDuration(approvalTtl)!)))

test('an approval survives neither the turn of a window, nor the end of a policy, nor its own ttl', () => {
  const seen = { held: 0, lapsed: 0 }
  fc.assert(
    fc.property(asking, sure, input, approvedMinutesAgo, (documents, ask, request, minutesAgo) => {
      const all = [...documents, ask]
      const before = decided(all, request)
      if (before.effect !== 'require_approval') return
      const given = withApprovals(request, minutesAgo)
      const { code, obligations } = decided(all, given)
      const ttl = before.obligations.approvalTtlMs ?? Infinity
      expect(ttl).toBeGreaterThanOrEqual(shortestTtl(all))
      const lapsed = minutesAgo * minuteMs >= ttl || anythingTurned(all, request.now - minutesAgo * minuteMs, request.now)
      expect([code, obligations]).toEqual([lapsed ? before.code : 'approved', before.obligations])
      seen[lapsed ? 'lapsed' : 'held'] += 1
    }),
    { numRuns: playsAll ? 20_000 : 1_000 },
  )
  expect(Math.min(seen.held, seen.lapsed)).toBeGreaterThan(50)
})

test('no approval survives a new deny', () => {
  let overruled = 0
  fc.assert(
    fc.property(asking, sure, extra('deny'), input, (documents, ask, deny, request) => {
      const given = withApprovals(request, 0)
      const denies = ['explicit_deny', 'deny_indeterminate'].includes(decided([deny], given).code)
      if (!denies || decided([...documents, ask], given).code !== 'approved') return
      expect(decided([...documents, ask, deny], given).effect).toBe('deny')
      overruled += 1
    }),
    { numRuns: playsAll ? 20_000 : 1_000 },
  )
  expect(overruled).toBeGreaterThan(20)
})
