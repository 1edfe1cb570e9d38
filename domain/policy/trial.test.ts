import { proceeds, type Capped, type Proceed } from './mode.ts'
import { capByTrial, onTrial } from './trial.ts'

const dayMs = 86_400_000
const inForce = [
  { id: 'old', effect: 'allow', sinceMs: 0 },
  { id: 'new', effect: 'allow', sinceMs: 5 * dayMs },
  { id: 'asks', effect: 'require_approval', sinceMs: 5 * dayMs },
]
const trialOf = (binding: string[], nowMs: number, trialMs = dayMs) => onTrial(binding.map((id) => ({ id })), inForce, trialMs, nowMs)

test.each<[string, string[], number, string[]]>([
  ['an old policy', ['old'], 5 * dayMs, []],
  ['a new one', ['old', 'new'], 5 * dayMs + 1, ['new']],
  ['a new one after its trial', ['new'], 6 * dayMs, []],
  ['a new one that permits nothing here', ['old'], 5 * dayMs, []],
  ['one that only asks people', ['asks'], 5 * dayMs, []],
])('%s', (_name, binding, nowMs, found) => expect(trialOf(binding, nowMs)).toEqual(found))

test('0 switches it off', () => expect(trialOf(['new'], 5 * dayMs, 0)).toEqual([]))

const capped = (proceed: Proceed): Capped => ({ proceed, mode: 'auto', code: 'c', message: 'm' })

test.each(proceeds)('%s never becomes more, and what would have been is kept', (proceed) => {
  const found = capByTrial(capped(proceed), ['new'], dayMs)
  if (proceed !== 'act' && proceed !== 'ask') return expect(found).toEqual({ ...capped(proceed), trial: null })
  expect(found).toMatchObject({ proceed: 'suggest', code: 'policy_trial', message: expect.stringContaining('`new` is in its trial of 24 h'), trial: { policies: ['new'], otherwise: proceed } })
})

test('without one on trial nothing changes', () => expect(capByTrial(capped('act'), [], dayMs)).toEqual({ ...capped('act'), trial: null }))
