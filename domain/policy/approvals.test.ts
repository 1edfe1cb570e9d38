import fc from 'fast-check'
import { printedSeed } from '../../tests/helpers/draw.ts'
import type { Principal, Role } from '../remediation.ts'
import { approvalState, type ApprovalRule } from './approvals.ts'
import type { Approval } from './input.ts'

const seed = printedSeed('approvals')

const ann: Principal = { id: 'key:7', kind: 'key', owner: 'ann', roles: ['user'] }
const yes = (owner: string, over: Partial<Approval> = {}): Approval => ({ principalId: owner, owner, roles: ['approver'], groups: [], at: 0, ...over })
const rule = (over: Partial<ApprovalRule> = {}): ApprovalRule => ({ minApprovals: 2, approverGroups: ['dba'], approverRoles: [], ...over })
const glass = { breakGlass: true }

test.each<[string, Approval[], boolean, number, string[] | undefined]>([
  ['nobody', [], false, 0, undefined],
  ['an approver, by break-glass', [yes('bob', glass)], true, 1, ['bob']],
  ['the requester, by break-glass', [yes('ann', glass)], true, 0, ['ann']],
  ['the requester, without it', [yes('ann')], false, 0, undefined],
  ['somebody without the role, by break-glass', [yes('bob', { ...glass, roles: ['user'] })], false, 0, undefined],
  ['one by break-glass and one besides', [yes('bob', glass), yes('eve')], true, 2, ['bob']],
  ['one twice, by break-glass and besides', [yes('bob'), yes('bob', glass)], true, 1, ['bob']],
])('%s: met %s', (_name, approvals, met, given, breakGlass) => {
  expect(approvalState(rule(), ann, approvals)).toEqual({ met, needed: 2, given, missingGroups: ['dba'], missingRoles: [], ...(breakGlass ? { breakGlass } : {}) })
})

const owner = fc.constantFrom('ann', 'bob', 'cat', 'dan')
const approval = (breakGlass: boolean) => fc.record({
  owner, roles: fc.uniqueArray(fc.constantFrom<Role>('approver', 'admin', 'user')), groups: fc.uniqueArray(fc.constantFrom('dba', 'sre')),
}).map(({ owner: of, ...over }) => yes(of, { ...over, ...(breakGlass ? glass : {}) }))
const anyRule = fc.record({ minApprovals: fc.integer({ min: 0, max: 3 }), approverGroups: fc.uniqueArray(fc.constantFrom('dba', 'sre')), approverRoles: fc.uniqueArray(fc.constantFrom<Role>('admin', 'approver')) })

test('one more break-glass counts as the approval that it is, changes nobody else’s, and the requester’s counts as none', () => {
  fc.assert(fc.property(anyRule, fc.array(fc.oneof(approval(false), approval(true)), { maxLength: 4 }), approval(true), (asked, others, extra) => {
    const before = approvalState(asked, ann, others)
    const after = approvalState(asked, ann, [...others, extra])
    const { breakGlass: _glass, ...plain } = extra
    const asApproval = approvalState(asked, ann, [...others, plain])
    expect([after.given, after.missingGroups, after.missingRoles]).toEqual([asApproval.given, asApproval.missingGroups, asApproval.missingRoles])
    if (extra.owner === 'ann') expect([after.given, after.missingGroups, after.missingRoles]).toEqual([before.given, before.missingGroups, before.missingRoles])
    expect(after.breakGlass ?? []).toEqual(expect.arrayContaining(before.breakGlass ?? []))
    if (before.met) expect(after.met).toBe(true)
  }), { seed, numRuns: 1_000 })
})

test('without one nothing is met that approvals do not meet, and the order of answers changes nothing', () => {
  fc.assert(fc.property(anyRule, fc.array(approval(false), { maxLength: 4 }), (asked, approvals) => {
    const state = approvalState(asked, ann, approvals)
    expect(state.met).toBe(state.given >= asked.minApprovals && state.missingGroups.length + state.missingRoles.length === 0)
    expect(approvalState(asked, ann, approvals.toReversed())).toEqual(state)
  }), { seed, numRuns: 1_000 })
})
