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
