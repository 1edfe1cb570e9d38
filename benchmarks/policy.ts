/**
 * Decisions in one process and thread: Aegis beside other engines on the same policies and requests, each in a process of
 * its own and checked against a plain reference request by request; then Aegis alone on what only it can be asked.
 */
import { createHash } from 'node:crypto'
import { canonical } from '../domain/policy/request.ts'
import { inputOf } from './engines/aegis.ts'
import { aegis, catalogue } from './engines/catalogue.ts'
import { expectedOutcomes, runEngine, type Size } from './engines/run.ts'
import { requests, sizes } from './engines/workload.ts'
import type { BenchFigures } from './ground.ts'
import { estateRows, measureEstate } from './policy-estate.ts'
import { rowLines } from './print.ts'
import { cellRows, sideBySide, type Cell } from './policy-table.ts'
import { atLeast, atMost, quantile, type BenchBar, type BenchRow } from './report.ts'

export async function run(say: (line: string) => void): Promise<BenchFigures> {
  const begun = performance.now()
  const cells: Cell[] = []
  for (const size of sizes) cells.push(...(await measureSize(size, say)))
  const estates = sizes.map((policies) => ({ policies, figures: measureEstate(policies) }))
  const others = [
    ...estates.flatMap(({ policies, figures }) => estateRows(policies, figures)),
    ...recordingRows(),
    { case: 'this benchmark', metric: 'took', value: Math.round((performance.now() - begun) / 1000), unit: 's' },
  ]
  return {
    rows: [...cells.flatMap((cell) => cellRows(cell, aegisAt(cells, cell.size))), ...others],
    table: [...sideBySide(cells), '', ...rowLines(others)],
    bars: [
      atMost('decide at 1,000 policies, p99 in µs', 100, Number(aegisAt(cells, 1_000).figures.p99.toFixed(1))),
      atMost('decide in the estate of 1,000 policies, p99 in µs', 100, Number(estates.find(({ policies }) => policies === 1_000)!.figures.p99.toFixed(1))),
      ...sizes.map((size) => firstAt(cells, size)),
    ],
  }
}

async function measureSize(size: Size, say: (line: string) => void): Promise<Cell[]> {
  const expected = expectedOutcomes(size)
  const cells: Cell[] = []
  for (const { name, explanation, unknownSafe, obligations } of catalogue) {
    const figures = await runEngine(name, size, expected)
    cells.push({ engine: name, size, features: { explanation, unknownSafe, obligations }, figures })
    say(`${name} under ${size} policies: ${Math.round(figures.perSecond)} decisions/s, ${figures.asked} requests as the reference has them`)
  }
  return cells
}

const aegisAt = (cells: readonly Cell[], size: Size): Cell => cells.find((cell) => cell.engine === aegis && cell.size === size)!

/** How far ahead of the next engine that says itself why it answered so. */
function firstAt(cells: readonly Cell[], size: Size): BenchBar {
  const others = cells.filter((cell) => cell.size === size && cell.engine !== aegis && cell.features.explanation === 'yes')
  const ahead = aegisAt(cells, size).figures.perSecond / Math.max(...others.map(({ figures }) => figures.perSecond))
  return atLeast(`decisions/s at ${size.toLocaleString('en')} policies as a multiple of the next engine that explains`, 1, Number(ahead.toFixed(1)))
}

/** What a decision spends on the input it is recorded with. Other engines leave that to whoever calls them. */
function recordingRows(): BenchRow[] {
  const inputs = requests().map(inputOf)
  const passes = Array.from({ length: 4 }, () => {
    const micros = Float64Array.from(inputs, (input) => {
      const before = performance.now()
      createHash('sha256').update(canonical(input)!).digest('hex')
      return (performance.now() - before) * 1000
    })
    return micros.sort()
  })
  const [best] = passes.sort((a, b) => quantile(a, 0.5) - quantile(b, 0.5))
  const row = (metric: string, share: number): BenchRow => ({ case: 'of which: canonical JSON of the input and its digest', metric, value: Number(quantile(best!, share).toFixed(1)), unit: 'µs' })
  return [row('p50', 0.5), row('p99', 0.99)]
}
