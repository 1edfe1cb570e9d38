import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock } from '../../adapters/policies/zones.ts'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { decide } from './decide.ts'
import { compileSnapshot } from './snapshot.ts'
import { cedarLeaf, completeInput, policiesOf, zones } from './testing/arbitraries.ts'
import { cedarContext, cedarQuestions } from './testing/cedar.ts'
import { startCedar, type Cedar, type CedarAnswer } from './testing/cedar-process.ts'

const seed = printedSeed('Cedar')

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
let cedar: Cedar

beforeAll(async () => {
  cedar = await startCedar()
})
afterAll(() => cedar.stop())

/** Cedar's answer as one of ours: people are asked for what may be done, and not unasked. */
const asOurs = ({ question, decision, reason }: CedarAnswer) => ({
  effect: decision === 'allow' ? 'allow' : question === 'atAll' ? 'deny' : 'require_approval',
  determining: reason,
})

const perSet = 50
const sets = playsAll ? 20_000 : 400
const atMostMs = playsAll ? 3_600_000 : 120_000

test('where no attribute is missing, Cedar gives the same answer by the same policies: 20,000 cases, 1,000,000 in the long run', async () => {
  const seen: Record<string, number> = { allow: 0, deny: 0, require_approval: 0 }
  await fc.assert(
    fc.asyncProperty(policiesOf(cedarLeaf), fc.array(completeInput, { minLength: perSet, maxLength: perSet }), async (documents, inputs) => {
      const snapshot = compileSnapshot(documents, { sha256, wallClock })
      const asked = cedar.ask(cedarQuestions(documents), inputs.map((input) => cedarContext(input, zones, wallClock)))
      const ours = inputs.map((input) => decide(snapshot, input)).map(({ effect, determining }) => ({ effect, determining: determining.map(({ id }) => id).sort() }))
      expect(ours).toEqual((await asked).map(asOurs))
      for (const { effect } of ours) seen[effect]! += 1
    }),
    // The search for a smaller example ends in time to tell the one that was found.
    { numRuns: sets, seed, interruptAfterTimeLimit: atMostMs * 0.8, markInterruptAsFailure: true },
  )
  // None of the three answers is rare, so none of them goes untested.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(sets * perSet * 0.02)
}, atMostMs)

test('a Cedar process that ends is no answer', async () => {
  const other = await startCedar()
  await other.stop()
  await expect(other.ask({ atAll: {}, unasked: {} }, [{}])).rejects.toThrow('the Cedar process ended (SIGTERM)')
})
