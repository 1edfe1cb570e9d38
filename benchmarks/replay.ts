/** A million recorded decisions asked again under other policies: generated ones in pure form, then stored ones through the real API. */
import type { BenchFigures } from './ground.ts'
import { openPolicyGround } from './policy-ground.ts'
import { megabytes } from './processes.ts'
import { candidateNames } from './replay/candidates.ts'
import { replayGenerated, type Replay } from './replay/pure.ts'
import { fillHistory, replayStored } from './replay/stored.ts'
import { atLeast, atMost, type BenchBar, type BenchRow } from './report.ts'

const decisions = 1_000_000
const barSeconds = 30
const barMegabytes = 512
const tellEveryMs = 2_000

export async function run(say: (line: string) => void): Promise<BenchFigures> {
  const figures: BenchFigures = { rows: [], bars: [] }
  const add = (name: string, replay: Replay) => {
    figures.rows.push(...rowsOf(name, replay))
    figures.bars.push(...barsOf(name, replay))
  }
  for (const name of candidateNames) add(`generated: ${name}`, await replayGenerated(name, decisions, teller(name, say)))
  const ground = await openPolicyGround(say)
  try {
    const begun = performance.now()
    await fillHistory(ground, decisions)
    say(`${decisions} decisions on record (${((performance.now() - begun) / 1000).toFixed(0)} s)`)
    for (const name of candidateNames) add(`PostgreSQL and API: ${name}`, await replayStored(ground, name, teller(name, say)))
  } finally {
    await ground.close()
  }
  return figures
}

function teller(name: string, say: (line: string) => void): (done: number) => void {
  let toldAt = performance.now()
  return (done) => {
    if (performance.now() - toldAt < tellEveryMs) return
    toldAt = performance.now()
    say(`${name}: ${done} of ${decisions} replayed`)
  }
}

const rowsOf = (name: string, { seconds, peakRssBytes, decisions: replayed, changed }: Replay): BenchRow[] => [
  { case: name, metric: 'decisions replayed', value: replayed, unit: '' },
  { case: name, metric: 'answered otherwise', value: changed, unit: '' },
  { case: name, metric: 'wall time', value: Number(seconds.toFixed(1)), unit: 's' },
  { case: name, metric: 'rate', value: Math.round(replayed / seconds), unit: '1/s' },
  { case: name, metric: 'peak RSS', value: megabytes(peakRssBytes), unit: 'MB' },
]

const barsOf = (name: string, { seconds, peakRssBytes, decisions: replayed, changed }: Replay): BenchBar[] => [
  atMost(`${name}: wall time in s`, barSeconds, Number(seconds.toFixed(1))),
  atMost(`${name}: peak RSS in MB`, barMegabytes, megabytes(peakRssBytes)),
  atLeast(`${name}: decisions replayed`, decisions, replayed),
  atLeast(`${name}: decisions answered otherwise`, 1, changed),
]
