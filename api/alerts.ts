import { z } from 'zod'
import type { RequestDraft } from '../adapters/postgres/requests.ts'
import { acceptSignal, joinOpenRuns, markResolved, type Signal } from '../adapters/postgres/signals.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import type { Matched } from '../domain/rules/apply.ts'
import type { RemediationRequest } from '../domain/remediation.ts'
import { principalAt, type Area } from '../domain/identity.ts'
import { defaultCluster, outsideReason } from './accept.ts'
import { alertReason, incidentOf, labelsText, readAlert, webhookBody, type Alert, type Unreadable } from './alertmanager.ts'
import { allows } from './permissions.ts'
import { reply, route, type ApiDeps, type Caller, type Route } from './route.ts'

const results = ['accepted', 'known', 'unmatched', 'refused', 'resolved'] as const

const alertResult = z.strictObject({
  /** Missing where the alert gave none that can be read. */
  fingerprint: z.string().optional(),
  result: z.enum(results),
  /** The remediation it led to or joined. */
  id: z.uuid().optional(),
  reason: z.string(),
})
type AlertResult = z.infer<typeof alertResult>

/** What one alert asks for, before anything is committed. */
type Sorted = Matching | { alert: Alert; resolved: true } | { result: AlertResult }
/** `joined`: its run was open, and it is counted already. */
type Matching = { alert: Alert; matched: Matched; draft: RequestDraft; signal: Signal; joined?: RemediationRequest | undefined }

/** Different targets do not wait for each other; one target's alerts are committed in order. */
const parallelTargets = 4

/** Room for 1,000 alerts, labels and annotations included: Alertmanager sends a group whole, and only once. */
const webhookLimitBytes = 2 * 1024 * 1024

const receive = route({
  method: 'post',
  path: '/api/v1/alerts',
  permission: 'alerts:send',
  scope: 'filtered',
  summary: "Alertmanager's webhook, version 4",
  description: 'Each firing alert is held against the rule file; its labels only say where to look. The same alert, and other alerts for the same target and action, join the run that is open. An alert that cannot be read is `refused` by itself and stops no other; results are in the order of the alerts. A body holds at most 2 MiB.',
  tag: 'Alerts',
  body: webhookBody,
  bodyLimitBytes: webhookLimitBytes,
  apart: { items: 'alerts', unread: ['groupLabels', 'commonLabels', 'commonAnnotations'] },
  output: { 202: z.strictObject({ results: z.array(alertResult) }) },
  handle: async ({ deps, body, principal, areas }) => {
    const sorted = body.alerts.map((given) => sort(deps, principal, given, Date.now()))
    await join(deps, sorted)
    const settled = await inLanes(sorted, laneOf, parallelTargets, (lane) => settleLane(deps, areas, lane))
    for (const { result } of settled) deps.metrics.alerts.inc({ result })
    return reply(202, { results: settled })
  },
})

function sort({ settings, rules }: ApiDeps, principal: Caller, given: unknown, nowMs: number): Sorted {
  const alert = readAlert(given)
  if ('unreadable' in alert) return { result: refusedUnread(alert) }
  const { fingerprint, labels, startsAt } = alert
  if (alert.status === 'resolved') return { alert, resolved: true }
  const heldMs = Math.max(0, nowMs - Date.parse(startsAt))
  const matched = rules({ kind: 'alert', alert: labels['alertname'] ?? '', labels, defaultCluster: defaultCluster(settings), heldMs })
  if ('unmatched' in matched) return { result: { fingerprint, result: 'unmatched', reason: `${matched.unmatched}: ${matched.message}` } }
  const outside = outsideReason(settings, matched.target)
  if (outside) return { result: { fingerprint, result: 'refused', reason: `${outside.code}: ${outside.message}` } }
  if (!allows(principal, 'alerts:send', matched.target)) return { result: { fingerprint, result: 'refused', reason: `not_permitted_there: \`${principal.id}\` may send no alerts for \`${matched.target.namespace}\`` } }
  const signal = { ...incidentOf(alert), labelsDigest: `sha256:${sha256Hex(labelsText(alert))}` }
  return { alert, matched, draft: draftOf(settings, principal, alert, matched), signal }
}

const refusedUnread = ({ fingerprint, unreadable }: Unreadable): AlertResult =>
  ({ ...(fingerprint === undefined ? {} : { fingerprint }), result: 'refused', reason: `unreadable: ${unreadable}` })

function laneOf(one: Sorted): string {
  if ('matched' in one) return JSON.stringify([one.matched.action, one.matched.target])
  return 'resolved' in one ? one.alert.fingerprint : ''
}

/** Counts those whose run is open, all of them at once. */
async function join({ db }: ApiDeps, some: readonly Sorted[]): Promise<void> {
  const left = some.filter((one): one is Matching => 'matched' in one && !one.joined)
  const joined = await joinOpenRuns(db, left)
  for (const [at, one] of left.entries()) one.joined = joined[at]
}

/** Once the first has its run, the others find that open. */
async function settleLane(deps: ApiDeps, areas: Area[] | null, [first, ...others]: readonly [Sorted, ...Sorted[]]): Promise<AlertResult[]> {
  const results = [await settle(deps, areas, first)]
  await join(deps, others)
  for (const one of others) results.push(await settle(deps, areas, one))
  return results
}

async function settle(deps: ApiDeps, areas: Area[] | null, one: Sorted): Promise<AlertResult> {
  if ('result' in one) return one.result
  const { alert } = one
  if ('resolved' in one) {
    const told = await markResolved(deps.db, incidentOf(alert), areas)
    const reason = told.length === 0 ? 'no open remediation waits for it' : 'the open remediation is told'
    return { fingerprint: alert.fingerprint, result: 'resolved', reason, ...(told[0] === undefined ? {} : { id: told[0] }) }
  }
  const { draft, signal, joined } = one
  const { accepted, request } = joined ? { accepted: 'known' as const, request: joined } : await acceptSignal(deps.db, draft, signal)
  deps.metrics.accepted.inc({ door: 'alert', result: accepted })
  const { id: rule, version } = one.matched.rule
  const reason = accepted === 'new' ? `rule \`${rule}\` (version ${version})` : 'it belongs to a remediation that is there already'
  return { fingerprint: alert.fingerprint, result: accepted === 'new' ? 'accepted' : 'known', id: request.id, reason }
}

const draftOf = (settings: ApiDeps['settings'], principal: Caller, alert: Alert, matched: Matched): RequestDraft => ({
  id: freshId(),
  door: 'alert',
  principal: principalAt(principal, matched.target),
  action: matched.action,
  target: matched.target,
  parameters: matched.parameters,
  reason: alertReason(alert),
  severity: matched.severity,
  fault: matched.fault,
  incident: incidentOf(alert),
  deadlineMs: settings.deadlineMs,
  idempotency: null,
})

/** Runs `work` over all lanes, at most `width` at once; it answers for each item of its lane. Answers in the order given. */
export async function inLanes<Item, Result>(items: readonly Item[], laneOf: (item: Item) => string, width: number, work: (lane: [Item, ...Item[]]) => Promise<Result[]>): Promise<Result[]> {
  const lanes = new Map<string, [number, ...number[]]>()
  for (const [index, item] of items.entries()) {
    const lane = laneOf(item)
    const places = lanes.get(lane)
    if (places) places.push(index)
    else lanes.set(lane, [index])
  }
  const results: Result[] = []
  const waiting = [...lanes.values()]
  const drive = async () => {
    for (let lane = waiting.shift(); lane; lane = waiting.shift()) {
      const [first, ...others] = lane
      const settled = await work([items[first]!, ...others.map((index) => items[index]!)])
      for (const [at, index] of lane.entries()) results[index] = settled[at]!
    }
  }
  await Promise.all(Array.from({ length: width }, drive))
  return results
}

export const alertRoutes: Route[] = [receive]
