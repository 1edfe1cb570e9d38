import { isReviewDue, reviewWithinMs } from './break-glass.ts'

test.each([
  ['none', 0, null, false],
  ['two that are young', 2, reviewWithinMs, false],
  ['three', 3, 0, true],
  ['one that is a day old and a little', 1, reviewWithinMs + 1, true],
])('with %s unreviewed the door stays shut or not', (_name, count, oldestMs, due) => expect(isReviewDue({ count, oldestMs })).toBe(due))
