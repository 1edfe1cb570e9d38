import type { Knex } from 'knex'
import type { Logger } from '../adapters/log.ts'
import { healthServer, type Readiness, type Registry } from '../adapters/metrics.ts'
import { databaseReady } from '../adapters/postgres/connect.ts'

/** One cluster's loop. */
export type Loop = { ready(): Readiness; stop(): Promise<void> }

type LoopProcess = {
  db: Knex
  loops: readonly Loop[]
  registry: Registry
  log: Logger
  health: { host: string; port: number }
  /** What it says once it is up. */
  doing: string
  about: object
  /** Ended first. */
  close?: () => Promise<void>
}

/** Serves health and metrics for a process of one loop per cluster, and ends it in order. It knows no Temporal. */
export async function serveLoops({ db, loops, registry, log, health: at, doing, about, close }: LoopProcess): Promise<void> {
  const health = await healthServer({
    ...at,
    registry,
    live: () => true,
    ready: async () => {
      const states = [await databaseReady(db), ...loops.map(({ ready }) => ready())]
      const reasons = states.flatMap((state) => (state.ok ? [] : [state.reason ?? 'it is not ready']))
      return reasons.length === 0 ? { ok: true } : { ok: false, reason: reasons.join('; ') }
    },
  })
  log.info({ healthPort: health.port, ...about }, doing)

  let stopping: Promise<void> | undefined
  const stop = async () => {
    await Promise.all([close?.(), ...loops.map((loop) => loop.stop())])
    await health.close()
    await db.destroy()
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void (stopping ??= stop()))
}
