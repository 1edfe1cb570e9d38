/** `npm run bench [-- name]`: all benchmarks or one. Ends with 1 when a bar does not hold, with 2 for an unknown name. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { defaultDirectory } from '../sandbox/stack.ts'
import * as auth from './auth.ts'
import * as baseline from './baseline.ts'
import * as burst from './burst.ts'
import { openGround, type BenchFigures, type Ground } from './ground.ts'
import * as latency from './latency.ts'
import * as limits from './limits.ts'
import * as lint from './lint.ts'
import * as load from './load.ts'
import * as memory from './memory.ts'
import * as policy from './policy.ts'
import * as policyEndpoint from './policy-endpoint.ts'
import * as prototype from './prototype.ts'
import { rowLines, tableOf } from './print.ts'
import * as replay from './replay.ts'
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
/** These bring what they run on with them, and take it away before the ground is opened. */
const alone: Record<string, (say: (line: string) => void) => Promise<BenchFigures>> = {
  auth: auth.run,
  policy: policy.run,
  lint: lint.run,
  limits: limits.run,
  replay: replay.run,
  'policy-endpoint': policyEndpoint.run,
}
const names = [...Object.keys(alone), ...Object.keys(onGround)]

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
  const ground = measure && (await opened())
  const loadBefore = loadavg()[0] ?? 0
  try {
    return measured(name, loadBefore, measure && ground ? await measure(ground, earlier) : await alone[name]!(say))
  } catch (failure) {
    console.error(`\n${name} could not be finished: ${failure instanceof Error ? failure.message : String(failure)}\n`)
    return undefined
  }
}

const say = (line: string) => console.log(`  ${line}`)

/** How busy the machine was says how far to trust the figures. */
function measured(name: string, loadBefore: number, { rows, bars, table }: BenchFigures): BenchReport {
  const busy = (metric: string, value: number) => ({ case: 'load average of the machine', metric, value: Math.round(value * 10) / 10, unit: '' })
  const load = [busy('before', loadBefore), busy('after', loadavg()[0] ?? 0)]
  const shown = table && { table: [...table, ...rowLines(load)] }
  return { name, machine: describeMachine(), date: new Date().toISOString(), rows: [...rows, ...load], bars, ...shown }
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
