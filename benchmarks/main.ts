/** `npm run bench [-- name]`: all benchmarks or one. Ends with 1 when a bar does not hold, with 2 for an unknown name. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { defaultDirectory } from '../sandbox/stack.ts'
import * as baseline from './baseline.ts'
import * as burst from './burst.ts'
import { openGround, type BenchFigures, type Ground } from './ground.ts'
import * as latency from './latency.ts'
import * as load from './load.ts'
import * as memory from './memory.ts'
import * as policy from './policy.ts'
import * as prototype from './prototype.ts'
import { tableOf } from './print.ts'
import { describeMachine, type BenchReport } from './report.ts'
import * as resume from './resume.ts'
import * as throughput from './throughput.ts'

/** In this order: `memory` starts workers afresh and leaves a thousand remediations behind. */
const onGround: Record<string, (ground: Ground, earlier: readonly BenchReport[]) => Promise<BenchFigures>> = {
  prototype: prototype.run,
  latency: latency.run,
  load: load.run,
  throughput: throughput.run,
  burst: burst.run,
  resume: resume.run,
  baseline: baseline.run,
  memory: memory.run,
}
const names = ['policy', ...Object.keys(onGround)]

async function main(wanted: string | undefined): Promise<number> {
  if (wanted !== undefined && !names.includes(wanted)) {
    console.error(`there is no benchmark \`${wanted}\`: choose one of ${names.join(', ')}`)
    return 2
  }
  const chosen = wanted === undefined ? names : [wanted]
  const reports: BenchReport[] = []
  let ground: Ground | undefined
  const opened = async () => (ground ??= await openGround(say))
  try {
    for (const name of chosen) {
      const report = await oneOf(name, opened, reports)
      if (!report) continue
      publish(report)
      reports.push(report)
    }
  } finally {
    await ground?.close()
  }
  return reports.length === chosen.length && reports.every(({ bars }) => bars.every(({ holds }) => holds)) ? 0 : 1
}

/** One benchmark that cannot be finished does not keep the others from being run. */
async function oneOf(name: string, opened: () => Promise<Ground>, earlier: readonly BenchReport[]): Promise<BenchReport | undefined> {
  const measure = onGround[name]
  if (!measure) return policy.run(say)
  const ground = await opened()
  const loadBefore = loadavg()[0] ?? 0
  try {
    return measured(name, loadBefore, await measure(ground, earlier))
  } catch (failure) {
    console.error(`\n${name} could not be finished: ${failure instanceof Error ? failure.message : String(failure)}\n`)
    return undefined
  }
}

const say = (line: string) => console.log(`  ${line}`)

/** How busy the machine was says how far to trust the figures. */
function measured(name: string, loadBefore: number, { rows, bars }: BenchFigures): BenchReport {
  const busy = (metric: string, value: number) => ({ case: 'load average of the machine', metric, value: Math.round(value * 10) / 10, unit: '' })
  return { name, machine: describeMachine(), date: new Date().toISOString(), rows: [...rows, busy('before', loadBefore), busy('after', loadavg()[0] ?? 0)], bars }
}

function publish(report: BenchReport): void {
  const folder = join(defaultDirectory, 'bench')
  mkdirSync(folder, { recursive: true })
  const { table: _, ...kept } = report
  writeFileSync(join(folder, `${report.name}.json`), `${JSON.stringify(kept, null, 2)}\n`)
  console.log(`\n${tableOf(report)}`)
}

try {
  process.exitCode = await main(process.argv[2])
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure)
  process.exitCode = 1
}
