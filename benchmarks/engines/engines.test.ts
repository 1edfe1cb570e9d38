import { describe, expect, test } from '@jest/globals'
import { catalogue, loadOf } from './catalogue.ts'
import { measure } from './measure.ts'
import { expectedOutcomes } from './run.ts'
import { policies, requests } from './workload.ts'

/** Cedar needs a flag of Node that a test cannot give; the benchmark checks it in its own process. */
const here = catalogue.filter(({ flags }) => !flags).map(({ name }) => name)

describe('the shared workload', () => {
  test.each([10, 100, 1_000] as const)('comes out as published under %d policies', (size) => {
    expect(expectedOutcomes(size)).toHaveLength(10_000)
  })

  test.each(here)('%s answers as the reference does', async (name) => {
    const asked = 400
    const prepared = requests().slice(0, asked)
    const { prepare, decide } = await (await loadOf(name))(policies(100))
    const answers: unknown[] = []
    for (const request of prepared) answers.push(await decide(prepare(request)))
    expect(answers).toEqual(expectedOutcomes(100).slice(0, asked))
  })

  test('an engine that answers otherwise is found out', async () => {
    const wrong = { prepare: () => undefined, decide: () => 'allow' as const }
    await expect(measure(wrong, requests().slice(0, 2), ['allow', 'none'])).rejects.toThrow('request 1: answered `allow`, and the reference says `none`')
  })
})
