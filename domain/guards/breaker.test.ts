import { breakerReason, usualBreaker, type BreakerEvidence } from './breaker.ts'

const evidence = (over: Partial<BreakerEvidence> = {}): BreakerEvidence => ({ badInWindow: 1, counted: 1, badOfCounted: 1, ...over })

test.each<[string, Partial<BreakerEvidence>, RegExp | null]>([
  ['one failure', {}, null],
  ['two within the hour', { badInWindow: 2, counted: 2, badOfCounted: 2 }, null],
  ['three within the hour', { badInWindow: 3, counted: 50, badOfCounted: 3 }, /^3 remediations failed .* within 3600 s/],
  ['three of ten', { counted: 10, badOfCounted: 3 }, null],
  ['four of ten', { counted: 10, badOfCounted: 4 }, /^4 of the last 10 .* more than 30 %/],
  ['four of nine, which say too little', { counted: 9, badOfCounted: 4 }, null],
])('%s', (_name, over, reason) => {
  const found = breakerReason(usualBreaker, evidence(over))
  if (reason) expect(found).toMatch(reason)
  else expect(found).toBeNull()
})
