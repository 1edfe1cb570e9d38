/**
 * `tsx tests/replay/record.ts`: records the histories of scenarios that have none, on a Temporal
 * server of its own. A history that is there is never rewritten: it stands for runs that may still be open.
 */
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startStack } from '../../sandbox/stack.ts'
import { scenarios } from './scenarios.ts'
import { bundle, teller } from './stage.ts'

const folder = fileURLToPath(new URL('./histories/', import.meta.url))
const checkout = fileURLToPath(new URL('../../', import.meta.url))
const missing = scenarios.filter(({ name }) => !existsSync(join(folder, `${name}.json`)))

if (missing.length > 0) {
  const directory = mkdtempSync(join(tmpdir(), 'aegis-record-'))
  const stack = await startStack({ directory, clusters: [] })
  const told = await teller(stack.temporal.address, await bundle())
  for (const scenario of missing) {
    const { ending, handle } = await told.tell(scenario)
    if ((ending?.outcome ?? null) !== scenario.outcome) throw new Error(`${scenario.name} ended ${ending?.outcome} (${ending?.reason})`)
    const history: unknown = JSON.parse(String(historyToJSON(await handle.fetchHistory())))
    const text = JSON.stringify(history, null, 1).replaceAll(checkout, '') // stack traces name files
    writeFileSync(join(folder, `${scenario.name}.json`), `${text}\n`)
    console.log(`recorded ${scenario.name}`)
  }
  await told.close()
  await stack.stop()
  rmSync(directory, { recursive: true, force: true })
}
