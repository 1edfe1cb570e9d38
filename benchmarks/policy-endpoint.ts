/** `POST /api/v1/policy/evaluate` of a real API process, as a client sees it: whatever the endpoint records before it answers is in the figures. */
import type { BenchFigures } from './ground.ts'
import { openLoop, type Post, type Step } from './open-loop.ts'
import { openPolicyGround, type PolicyGround } from './policy-ground.ts'
import { requests } from './policy-workload.ts'
import { cpuRows, processUses } from './processes.ts'
import { policyCount } from './replay/candidates.ts'
import { atLeast, atMost, type BenchRow } from './report.ts'

const warmUp = { rate: 200, seconds: 5 }
const first = { rate: 500, seconds: 30 }
/** Then upwards, until it breaks. */
const [stepRate, stepSeconds, highestRate] = [250, 10, 10_000]
const p99LimitMs = 50

export async function run(say: (line: string) => void): Promise<BenchFigures> {
  const ground = await openPolicyGround(say)
  try {
    const post = postTo(ground)
    await openLoop(post, warmUp.rate, warmUp.seconds)
    const before = processUses(ground.directory)
    const step = await openLoop(post, first.rate, first.seconds)
    const cpu = cpuRows(before, processUses(ground.directory), step.sent, 'evaluation').filter(({ value }) => value > 0)
    tell(step, say)
    return figuresOf([step, ...(holds(step) ? await untilItBreaks(post, say) : [])], cpu)
  } finally {
    await ground.close()
  }
}

/** Who asks comes from the key; the rest is the client's to say. */
function postTo({ url, apiKey }: PolicyGround): Post {
  const bodies = requests(1_000).map(({ action, resource, type, context, request, target, history }) =>
    JSON.stringify({ action, resource, type, context, request, target, history }))
  return { url: `${url}/api/v1/policy/evaluate`, key: apiKey, bodies }
}

async function untilItBreaks(post: Post, say: (line: string) => void): Promise<Step[]> {
  const steps: Step[] = []
  for (let rate = first.rate + stepRate; rate <= highestRate; rate += stepRate) {
    const step = await openLoop(post, rate, stepSeconds)
    steps.push(step)
    tell(step, say)
    if (!holds(step)) break
  }
  return steps
}

const tell = (step: Step, say: (line: string) => void): void =>
  say(`${step.rate}/s offered: p50 ${step.p50.toFixed(1)} ms, p99 ${step.p99.toFixed(1)} ms, ${step.failed} failed${causesText(step)}`)

const causesText = ({ causes }: Step): string => Object.entries(causes).map(([cause, count]) => `, ${count} × ${cause}`).join('')

const holds = ({ failed, p99 }: Step): boolean => failed === 0 && p99 <= p99LimitMs

function figuresOf(steps: readonly Step[], cpu: readonly BenchRow[]): BenchFigures {
  const held = steps.filter(holds).at(-1)
  const broken = steps.find((step) => !holds(step))
  const at = steps[0]!
  return {
    rows: [
      { case: 'policies in force', metric: '', value: policyCount, unit: '' },
      ...steps.flatMap(rowsOf),
      { case: 'holds', metric: 'highest rate with p99 ≤ 50 ms and nothing failed', value: held?.rate ?? 0, unit: '1/s' },
      ...cpu,
      ...(broken ? [{ case: 'breaks', metric: 'at', value: broken.rate, unit: '1/s' }] : []),
    ],
    bars: [
      atMost(`evaluate at ${at.rate}/s for ${first.seconds} s: p99 in ms`, p99LimitMs, Number(at.p99.toFixed(1))),
      atMost(`evaluate at ${at.rate}/s for ${first.seconds} s: failed`, 0, at.failed),
      atLeast('highest rate held, 1/s', first.rate, held?.rate ?? 0),
    ],
  }
}

const rowsOf = ({ rate, sent, failed, p50, p99, perSecond }: Step): BenchRow[] => {
  const name = `${rate}/s offered`
  return [
    { case: name, metric: 'sent', value: sent, unit: '' },
    { case: name, metric: 'failed or not answered', value: failed, unit: '' },
    { case: name, metric: 'answered', value: Math.round(perSecond), unit: '1/s' },
    { case: name, metric: 'p50', value: Number(p50.toFixed(2)), unit: 'ms' },
    { case: name, metric: 'p99', value: Number(p99.toFixed(2)), unit: 'ms' },
  ]
}
