import { modes, outcomes, verdicts, type Mode, type Outcome, type Verdict } from '../remediation.ts'
import { demotedTo, isBad } from './demotion.ts'

test.each<[Outcome, Verdict | null, boolean]>([
  ['undone', 'worse', true],
  ['undone', 'same', true],
  ['undone', null, true],
  ['needs_human', 'same', true],
  ['needs_human', 'unknown', true],
  ['needs_human', null, true],
  ['cancelled', 'worse', true],
  ['cancelled', 'same', false],
  ['healed', 'better', false],
])('an act that ended `%s` with the verdict %s speaks against its policies: %s', (outcome, verdict, bad) => {
  expect(isBad({ outcome, verdict }, true)).toBe(bad)
})

test('whatever did not act speaks against nobody', () => {
  for (const outcome of outcomes) for (const verdict of [...verdicts, null]) expect(isBad({ outcome, verdict }, false)).toBe(false)
})

test.each<[Mode, Mode | null, Mode | null]>([
  ['auto', null, 'approve'],
  ['auto', 'auto', 'approve'],
  ['approve', null, 'suggest'],
  ['approve', 'approve', 'suggest'],
  ['approve', 'auto', 'suggest'],
  // Another remediation, or a person, was quicker.
  ['auto', 'approve', 'suggest'],
  ['auto', 'suggest', null],
  ['approve', 'observe', null],
  ['suggest', null, null],
  ['observe', null, null],
])('who acted at `%s` and has its rung at %s is put at %s', (actedAt, rung, to) => {
  expect(demotedTo(actedAt, rung)).toBe(to)
})

test('it never leads up, nor anywhere but down', () => {
  for (const actedAt of modes) {
    for (const rung of [...modes, null]) {
      const to = demotedTo(actedAt, rung)
      if (to !== null) expect(modes.indexOf(to)).toBeLessThan(modes.indexOf(rung ?? 'auto'))
    }
  }
})
