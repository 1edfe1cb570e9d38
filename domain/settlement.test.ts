import { expect, test } from '@jest/globals'
import { endingOfLostRun, type KnownIntent } from './settlement.ts'

const known = (result: KnownIntent['result'], attempts = 1): KnownIntent => ({ attempts, result })

test.each([
  ['nothing recorded, terminated', 'terminated', undefined, undefined, 'cancelled', 'terminated'],
  ['nothing recorded, vanished', 'vanished', undefined, undefined, 'blocked', 'run_lost'],
  ['recorded and never sent', 'failed', known(null, 0), undefined, 'blocked', 'run_lost'],
  ['fenced', 'terminated', known('fenced'), undefined, 'cancelled', 'terminated'],
  ['sent, and nobody knows', 'terminated', known(null), undefined, 'needs_human', 'unfenced'],
  ['applied, not verified', 'vanished', known('applied'), undefined, 'needs_human', 'unverified'],
  ['overtaken', 'failed', known('overtaken'), undefined, 'overtaken', 'target_changed'],
  ['taken back', 'failed', known('applied'), known('applied'), 'undone', 'undone_before_loss'],
  ['an undo that may still land', 'failed', known('applied'), known(null), 'needs_human', 'unfenced'],
  ['an undo that was fenced', 'failed', known('presumed'), known('fenced'), 'needs_human', 'unverified'],
] as const)('a lost run with %s ends by its effects', (_name, lost, act, undo, outcome, reason) => {
  expect(endingOfLostRun(lost, act, undo)).toMatchObject({ outcome, reason })
})
