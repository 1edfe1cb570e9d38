import type { Logger } from '../../adapters/log.ts'
import type { Readiness } from '../../adapters/metrics.ts'
import type { GuardMetrics } from './metrics.ts'
import type { Round } from './round.ts'

/** A hint may be lost: looking again this often bounds what that costs. */
const everyMs = 1_000
/** While something is not proven yet, the next look comes sooner. */
const pendingMs = 50
/** A guard whose last round is older than this does not do its work. */
const staleMs = 10_000

export type Guard = { wake(): void; ready(): Readiness; stop(): Promise<void> }
type Options = { cluster: string; round: () => Promise<Round>; log: Logger; metrics: GuardMetrics }

/** Rounds, one after another: when woken, and every second. A round that fails is told once, and tried again. */
export function keepGuard({ cluster, round, log, metrics }: Options): Guard {
  let stopped = false
  let woken = false
  let wakeUp = () => {}
  let doneAtMs: number | null = null
  let trouble: string | undefined
  let told = ''

  async function once(): Promise<number> {
    try {
      const { inForce, pending, kept } = await round()
      doneAtMs = performance.now()
      trouble = undefined
      metrics.round({ inForce, pending, kept: kept.length })
      const keeping = kept.map(({ freezeId }) => freezeId).join(' ')
      if (keeping !== told && keeping !== '') log.error({ cluster, freezes: kept }, 'the cluster holds freezes that the database does not know (was it restored?): they stay until they are lifted by id')
      told = keeping
      return pending > 0 ? pendingMs : everyMs
    } catch (failure) {
      const said = failure instanceof Error ? failure.message : 'the round failed'
      if (said !== trouble) log.warn({ err: failure, cluster }, 'a round of the guard failed; it is tried again every second')
      trouble = said
      return everyMs
    }
  }

  async function run(): Promise<void> {
    while (!stopped) {
      woken = false
      const waitMs = await once()
      if (!woken && !stopped) await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs)
        wakeUp = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  const running = run()
  const wake = () => {
    woken = true
    wakeUp()
  }
  return {
    wake,
    ready: () => {
      if (doneAtMs !== null && performance.now() - doneAtMs < staleMs) return { ok: true }
      return { ok: false, reason: trouble ?? `cluster \`${cluster}\` has had no round yet` }
    },
    async stop() {
      stopped = true
      wake()
      await running
    },
  }
}
