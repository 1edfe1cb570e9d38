import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { stack } from '../helpers/stack.ts'
import { scenarios } from './scenarios.ts'
import { bundle, teller, type Teller } from './stage.ts'

let told: Teller
beforeAll(async () => void (told = await teller(stack.temporal.address, await bundle())))
afterAll(() => told?.close())

test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('a remediation ends %s', async (_name, scenario) => {
  const { ending, failed, asked } = await told.tell(scenario)
  expect(asked).toEqual(scenario.asked)
  expect(ending?.outcome ?? null).toBe(scenario.outcome)
  if (scenario.reason) expect(ending?.reason).toBe(scenario.reason)
  expect(failed).toBe(scenario.failed ?? false)
})

test('an escalation prolongs no wait', async () => {
  const { handle } = await told.tell(scenarios.find(({ name }) => name === 'unanswered-after-two-escalations')!)
  const timers = ((await handle.fetchHistory()).events ?? []).flatMap(({ timerStartedEventAttributes: timer }) => (timer ? [timer.startToFireTimeout] : []))
  const [first = 0, second = 0, last = 0, ...more] = timers.map((given) => Number(given?.seconds ?? 0) * 1_000 + Number(given?.nanos ?? 0) / 1e6)
  // To 300, to 600 and to 1,200 ms after the question: what is left then, whatever the machine was busy with.
  expect([first, second <= 300, last <= 600, more]).toEqual([300, true, true, []])
})
