import { rolloutState, type RolloutCounts } from './health.ts'

const done: RolloutCounts = { generation: 4, observedGeneration: 4, desired: 3, updated: 3, total: 3, available: 3, deadlineExceeded: false }

test.each<[string, Partial<RolloutCounts>, string]>([
  ['everything is updated and available', {}, 'complete'],
  ['the controller has not looked at the newest generation', { observedGeneration: 3 }, 'progressing'],
  ['a give-up from before the change does not count', { observedGeneration: 3, deadlineExceeded: true }, 'progressing'],
  ['some pods are not updated', { updated: 2 }, 'progressing'],
  ['old pods are still there', { total: 4 }, 'progressing'],
  ['updated pods are not available', { available: 2 }, 'progressing'],
  ['the controller gave up', { updated: 1, total: 4, deadlineExceeded: true }, 'exceeded'],
  ['nothing is wanted and nothing is there', { desired: 0, updated: 0, total: 0, available: 0 }, 'complete'],
  ['nothing is wanted and pods are still going', { desired: 0, updated: 2, total: 2, available: 2 }, 'complete'],
])('%s', (_what, change, state) => expect(rolloutState({ ...done, ...change })).toBe(state))
