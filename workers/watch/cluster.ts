import type { FaultView } from '../../adapters/kubernetes/fault-view.ts'
import type { Logger } from '../../adapters/log.ts'
import type { Readiness } from '../../adapters/metrics.ts'
import { agenda } from '../../domain/watch/agenda.ts'
import type { WorkloadFacts } from '../../domain/watch/facts.ts'
import { nothingSeen, observe, type Observed, type WatchRules, type WatchState } from '../../domain/watch/observe.ts'
import { startLoop } from '../../temporal/loop.ts'
import { handOverAll, type Handover } from './handover.ts'
import type { WatcherMetrics } from './metrics.ts'

export type ClusterWatch = { name: string; ready(): Readiness; stop(): Promise<void> }

export type ClusterWatchDeps = {
  name: string
  view: FaultView
  rules: WatchRules
  isWatched(workload: WorkloadFacts): boolean
  handover: Handover
  log: Logger
  metrics: WatcherMetrics
}

const lookEveryMs = 2_000
/** Fresh reads in one look: a bound on what a sick cluster is asked. */
const readsPerLook = 20
const readsAtOnce = 5

/** Looks at one cluster until stopped. What it knows of the past is in `state` alone, and starting over loses only time. */
export function watchCluster(deps: ClusterWatchDeps): ClusterWatch {
  const { name, view, log } = deps
  let state = nothingSeen
  const look = async () => {
    deps.metrics.inView.set({ cluster: name }, view.ready().ok ? 1 : 0)
    const cached = view.workloads()?.filter(deps.isWatched)
    if (!cached) return
    const facts = await lookAfresh(view, cached, agenda(state, cached, Date.now(), readsPerLook))
    const seen = observe(state, facts, Date.now(), deps.rules)
    report(deps, state, seen)
    state = await handOverAll(deps.handover, seen, (failure) => log.error({ err: failure, cluster: name }, 'an incident could not be handed over; it is tried again'))
  }
  const loop = startLoop(look, { everyMs: lookEveryMs, onFailure: (failure) => log.error({ err: failure, cluster: name }, 'a look failed; the next follows') })
  return {
    name,
    ready: () => view.ready(),
    async stop() {
      await loop.stop()
      await view.close()
    },
  }
}

/** The view says where to look; what is suspect is read again, because only that proves anything. */
async function lookAfresh(view: FaultView, cached: readonly WorkloadFacts[], suspects: WorkloadFacts[]): Promise<WorkloadFacts[]> {
  const fresh = new Map<string, WorkloadFacts | undefined>()
  const waiting = [...suspects]
  const drive = async () => {
    for (let workload = waiting.shift(); workload; workload = waiting.shift()) {
      const { uid } = workload
      // An API server that does not answer leaves the cached facts, which grow too old to prove anything.
      await view.read(workload).then((facts) => fresh.set(uid, facts), () => undefined)
    }
  }
  await Promise.all(Array.from({ length: readsAtOnce }, drive))
  return cached.flatMap((workload) => (fresh.has(workload.uid) ? [fresh.get(workload.uid) ?? []].flat() : [workload]))
}

/** Guards speak once when they begin to hold and once when they let go. */
function report({ name: cluster, log, metrics }: ClusterWatchDeps, before: WatchState, { state, held }: Observed): void {
  const { majority, waiting } = state
  if (majority.stopped && !before.majority.stopped) {
    metrics.held.inc({ cluster, guard: 'majority' })
    log.error({ cluster, ...majority }, 'unhealthy majority: too many workloads fail at once for a local fault; nothing is asked for until fewer do')
  }
  if (!majority.stopped && before.majority.stopped) log.warn({ cluster, ...majority }, 'the unhealthy majority is over')
  if (waiting > 0 && before.waiting === 0) {
    metrics.held.inc({ cluster, guard: 'rate' })
    log.error({ cluster, waiting }, 'storm: more faults at once than requests may be made in a minute; the rest wait')
  }
  metrics.holding.set({ cluster, guard: 'majority' }, majority.stopped ? held.length : 0)
  metrics.holding.set({ cluster, guard: 'rate' }, waiting)
  metrics.majority.set({ cluster }, majority.stopped ? 1 : 0)
  metrics.workloads.set({ cluster }, majority.watched)
  metrics.failing.set({ cluster }, majority.failing)
}
