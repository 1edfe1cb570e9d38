import { Connection } from '@temporalio/client'
import { join } from 'node:path'
import { programs } from '../setup/programs.mjs'
import { goSettings, startServer, untilReady } from '../processes.ts'

export type TemporalServer = { address: string; uiUrl: string; pid: number }

/** What Aegis files its workflows under (temporal/searchAttributes reads and writes them). */
export const searchAttributes = {
  AegisTarget: 'Keyword',
  AegisNamespace: 'Keyword',
  AegisAction: 'Keyword',
  AegisPhase: 'Keyword',
  AegisOutcome: 'Keyword',
  AegisCluster: 'Keyword',
  AegisSeverity: 'Keyword',
  AegisNeedsApproval: 'Bool',
} as const

type Options = { directory: string; port: number; uiPort: number; dbFilename?: string | undefined }

const readyLimitMs = 30_000

export async function startTemporal({ directory, port, uiPort, dbFilename }: Options): Promise<TemporalServer> {
  const server = startServer({
    directory,
    command: programs().temporal,
    args: [
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', `${port}`, '--ui-port', `${uiPort}`],
      // Every workflow task would wait for a 20-a-second limiter otherwise, about 50 ms a step even when idle.
      ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=1000'],
      ...['--log-level', 'warn', '--disable-config-file', '--disable-config-env'],
      ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
      ...(dbFilename ? ['--db-filename', dbFilename] : []),
    ],
    log: join(directory, 'logs/temporal.log'),
    env: goSettings,
  })
  const address = `127.0.0.1:${port}`
  await untilReady('Temporal', server, () => answers(address), readyLimitMs)
  return { address, uiUrl: `http://127.0.0.1:${uiPort}`, pid: server.pid }
}

/** The default namespace exists and knows the search attributes: the last things the server sets up. */
async function answers(address: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: 1_000 })
  try {
    return await connection.withDeadline(Date.now() + 2_000, async () => {
      await connection.workflowService.describeNamespace({ namespace: 'default' })
      const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' })
      return Object.keys(searchAttributes).every((name) => name in customAttributes)
    })
  } finally {
    await connection.close()
  }
}
