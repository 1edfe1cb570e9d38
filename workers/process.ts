import { DefaultLogger, NativeConnection, Runtime, Worker, type LogEntry, type NativeConnectionOptions, type WorkerOptions } from '@temporalio/worker'
import { createLogger, type Logger } from '../adapters/log.ts'
import { createRegistry, healthServer, type HealthServer, type Readiness, type Registry } from '../adapters/metrics.ts'
import { connectSettings } from '../temporal/client.ts'

/** What every worker process has: a log, metrics, a health port, and an orderly end. */
export type WorkerProcess = { log: Logger; registry: Registry }

export type WorkerSettings = { name: string; logLevel: string; temporalAddress?: string | undefined; health: { host: string; port: number } }

/** Both must go to every Worker: one that polls another namespace than runs start in does nothing, silently. */
export type WorkerTemporal = { connection: NativeConnection; namespace: string }

/** A worker that is up. `stop` ends what runs beside it, after the worker has drained. */
export type Running = { worker: Worker; ready(): Promise<Readiness>; stop(): Promise<void> }

/** Attempts in flight get this long to end; then they are cancelled, and soon after that the process leaves. */
const shutdown = { shutdownGraceTime: '20s', shutdownForceTime: '25s' } as const

const connectRetryMs = 1_000

/**
 * Runs a worker process from start to signal. Temporal may be away: it is asked again until it
 * answers or the process is stopped, while `/ready` says so and `/live` stays true.
 */
export async function runWorkerProcess(settings: WorkerSettings, start: (process: WorkerProcess, temporal: WorkerTemporal) => Promise<Running>): Promise<void> {
  const log = createLogger({ name: settings.name, level: settings.logLevel })
  const registry = createRegistry(settings.name)
  Runtime.install({
    shutdownSignals: [], // this process ends in its own order
    logger: new DefaultLogger('WARN', (entry) => forward(log, entry)),
    telemetryOptions: { logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} } },
  })

  let running: Running | undefined
  let failed = false
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort())

  const health: HealthServer = await healthServer({
    ...settings.health,
    registry,
    live: () => !failed,
    ready: async () => running?.ready() ?? { ok: false, reason: 'Temporal does not answer yet' },
  })
  log.info({ healthPort: health.port }, 'starting')
  try {
    const { connectionOptions, namespace = 'default' } = connectSettings({ address: settings.temporalAddress })
    const connection = await connect(connectionOptions, log, stopping.signal)
    if (!connection) return
    running = await start({ log, registry }, { connection, namespace })
    stopping.signal.addEventListener('abort', () => running?.worker.shutdown())
    if (!stopping.signal.aborted) {
      log.info('ready')
      await running.worker.run()
    }
    await running.stop()
    await connection.close()
  } catch (failure) {
    failed = true
    throw failure
  } finally {
    await health.close()
  }
}

/** Temporal's own lines in our form. Failures of steps are logged by their interceptor, with less in them. */
function forward(log: Logger, { level, message, meta }: LogEntry): void {
  if (expected.some((start) => message.startsWith(start))) return
  log[level === 'ERROR' ? 'error' : 'warn']({ err: meta?.['error'], taskQueue: meta?.['taskQueue'] }, message)
}

const expected = ['Activity failed', 'No workflows registered']

/** Worker and server share a network: packing their small messages costs more processor time than sending them. */
const grpcCompression = { codec: 'none' } as const

async function connect(options: NativeConnectionOptions, log: Logger, stopping: AbortSignal): Promise<NativeConnection | undefined> {
  for (let attempt = 1; !stopping.aborted; attempt++) {
    try {
      return await NativeConnection.connect({ ...options, grpcCompression })
    } catch (failure) {
      if (attempt % 10 === 1) log.warn({ err: failure, attempt }, 'Temporal does not answer; trying again every second')
      await new Promise((resolve) => setTimeout(resolve, connectRetryMs))
    }
  }
  return undefined
}

/** Options all our workers share. A short sticky timeout makes fail-over after a crash quick. */
export const workerOptions = (name: string) =>
  ({
    identity: `${name}@${process.pid}`,
    ...shutdown,
    stickyQueueScheduleToStartTimeout: '1s',
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
  }) satisfies Partial<WorkerOptions>

export const pollingState = (worker: Worker): Readiness => {
  const { runState, activityPollerState } = worker.getStatus()
  return runState === 'RUNNING' && activityPollerState === 'POLLING' ? { ok: true } : { ok: false, reason: `the worker is ${runState.toLowerCase()}` }
}
