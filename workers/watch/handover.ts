import type { Knex } from 'knex'
import type { Logger } from '../../adapters/log.ts'
import type { RequestDraft } from '../../adapters/postgres/requests.ts'
import { acceptSignal, markResolved } from '../../adapters/postgres/signals.ts'
import { freshId, sha256Hex } from '../../adapters/signing.ts'
import { canonicalJson } from '../../domain/canonical.ts'
import type { RuleSet } from '../../domain/rules/rule.ts'
import type { Incident } from '../../domain/watch/incident.ts'
import { keepOpen, putBack, type Observed, type WatchState } from '../../domain/watch/observe.ts'
import { wantedFor, watcherPrincipal, type Wanted } from '../../domain/watch/request.ts'
import type { WatcherMetrics } from './metrics.ts'

/** Each rejects when the database cannot take it: then it must come again. */
export type Handover = {
  raise(incident: Incident): Promise<void>
  /** It lasts: what ended `frozen`, `limited`, `blocked` or `unanswered` may be tried again by now. */
  remind(incident: Incident): Promise<void>
  clear(incident: Incident): Promise<void>
}

export type HandoverDeps = { db: Knex; rules: RuleSet; deadlineMs: number; log: Logger; metrics: WatcherMetrics }

/** From incidents to committed requests. What no rule leads anywhere is written to the log and counted. */
export function handover({ db, rules, deadlineMs, log, metrics }: HandoverDeps): Handover {
  const ask = (incident: Incident, wanted: Wanted) =>
    acceptSignal(db, draftOf(incident, wanted, deadlineMs), { ...incident.key, labelsDigest: digestOf(incident) })
  return {
    async raise(incident) {
      const { cluster, fault, startedAtMs } = incident
      const wanted = wantedFor(rules, incident)
      if ('unmatched' in wanted) {
        metrics.incidents.inc({ cluster, fault, action: 'none' })
        log.warn({ ...described(incident), because: wanted.message }, 'an incident that leads to no action')
        return
      }
      const { accepted, request } = await ask(incident, wanted)
      metrics.incidents.inc({ cluster, fault, action: wanted.action })
      metrics.requests.inc({ cluster, result: accepted })
      metrics.detectionSeconds.observe({ fault }, Math.max(0, Date.now() - startedAtMs) / 1_000)
      log.warn({ ...described(incident), action: wanted.action, rule: wanted.rule.id, remediation: request.id, accepted }, 'an incident')
    },
    async remind(incident) {
      const wanted = wantedFor(rules, incident)
      if ('unmatched' in wanted) return
      const { accepted, request } = await ask(incident, wanted)
      if (accepted === 'known') return
      metrics.requests.inc({ cluster: incident.cluster, result: accepted })
      log.warn({ ...described(incident), action: wanted.action, remediation: request.id, attempt: request.attempt }, 'the incident lasts; asked again')
    },
    async clear(incident) {
      const told = await markResolved(db, incident.key)
      log.info({ ...described(incident), told }, 'an incident is over')
    },
  }
}

/**
 * Hands over what one look brought. What the database could not take is due again at the next look;
 * after the first refusal the rest waits, so that a database that is away holds up no look for long.
 */
export async function handOverAll(to: Handover, seen: Observed, onFailure: (failure: unknown) => void): Promise<WatchState> {
  let { state } = seen
  let away = false
  const taken = async (give: Promise<void>): Promise<boolean> => {
    try {
      await give
      return true
    } catch (failure) {
      away = true
      onFailure(failure)
      return false
    }
  }
  for (const incident of seen.raise) if (away || !(await taken(to.raise(incident)))) state = putBack(state, incident)
  for (const incident of seen.remind) if (!away) await taken(to.remind(incident))
  for (const incident of seen.clear) if (away || !(await taken(to.clear(incident)))) state = keepOpen(state, incident, Date.now())
  return state
}

const described = ({ cluster, namespace, workload, fault, pod, evidence, key }: Incident) => ({
  cluster,
  namespace,
  workload: `${workload.kind}/${workload.name}`,
  fault,
  pod: pod?.name,
  evidence,
  fingerprint: key.fingerprint,
})

/** Shows whether what was seen changed between two tellings of the same incident. */
const digestOf = ({ pods, evidence }: Incident) => `sha256:${sha256Hex(canonicalJson({ pods, evidence }))}`

const draftOf = (incident: Incident, { action, target, parameters, severity, reason }: Wanted, deadlineMs: number): RequestDraft => ({
  id: freshId(),
  door: 'watcher',
  principal: watcherPrincipal,
  action,
  target,
  parameters,
  reason,
  severity,
  fault: incident.fault,
  incident: incident.key,
  deadlineMs,
  idempotency: null,
})
