import { z } from 'zod'
import { canonicalJson } from '../domain/canonical.ts'
import { Odd } from './body.ts'
import { fieldErrors } from './fields.ts'
import * as shape from './shapes.ts'

/** Names are whatever the metrics carry; only their size is bounded. `__proto__` and its like never get here. */
const labels = z.record(z.string().min(1).max(256), z.string().max(4096))

/** Of any length: at most the first words are used, and a long one must not cost anybody an alert. */
const texts = z.record(z.string(), z.string())

/** Of an alert. More are no alert of Prometheus', and each costs time to read. */
const mostNames = 500

/** Part of a key in PostgreSQL, which knows neither a year 0 nor ISO years of more than four digits. */
const start = shape.instant.refine(inStorableYear, 'must be a time in the years 1 to 9999')

const fingerprint = z.string().regex(/^[0-9a-f]{8,64}$/, 'must be the fingerprint that Alertmanager computes (hex digits)')

const alert = z.strictObject({
  status: z.enum(['firing', 'resolved']),
  labels: labels.refine(({ alertname }) => alertname !== undefined && alertname !== '', { path: ['alertname'], error: 'must be given: it says which alert this is' }),
  annotations: texts.default({}),
  startsAt: start,
  /** The zero time while it fires. */
  endsAt: shape.instant.optional(),
  generatorURL: z.string().default(''),
  fingerprint,
})
export type Alert = z.output<typeof alert>

/**
 * Alertmanager's webhook, version 4: the envelope. Alertmanager does not send a refused webhook again, so
 * each alert is read by itself (`readAlert`), and what only repeats the alerts is bounded by the body alone.
 */
export const webhookBody = z.strictObject({
  version: z.literal('4'),
  groupKey: z.string(),
  truncatedAlerts: z.int().min(0).default(0),
  status: z.enum(['firing', 'resolved']),
  receiver: z.string().max(256),
  groupLabels: texts.default({}),
  commonLabels: texts.default({}),
  commonAnnotations: texts.default({}),
  externalURL: z.string().default(''),
  alerts: z.array(z.unknown().meta(describedAlert())).min(1).max(1000),
})

/** For readers of the OpenAPI document: what an alert has to be for Aegis to read it. */
function describedAlert(): Record<string, unknown> {
  const { $schema: _dialect, ...described } = z.toJSONSchema(alert, { io: 'input' })
  return described
}

/** What was found wrong, and which alert it was as far as it said so. */
export type Unreadable = { fingerprint: string | undefined; unreadable: string }

/** Cheap, and before all else. */
const crowdedIn = (given: unknown): string | undefined =>
  ['labels', 'annotations'].find((field) => Object.keys((given as Record<string, object | undefined> | null)?.[field] ?? {}).length > mostNames)

export function readAlert(given: unknown): Alert | Unreadable {
  if (given instanceof Odd) return { fingerprint: undefined, unreadable: `\`${given.finding.path}\`: ${given.finding.message}` }
  const crowded = crowdedIn(given)
  if (crowded) return { fingerprint: undefined, unreadable: `\`${crowded}\`: more than ${mostNames} names` }
  const { success, data, error } = alert.safeParse(given)
  if (success) return data
  const [first, ...more] = fieldErrors(error.issues, given)
  const field = first?.field ? `\`${first.field}\`` : 'the alert'
  const others = more.length > 0 ? ` (and ${more.length} more)` : ''
  return { fingerprint: named.safeParse(given).data?.fingerprint, unreadable: `${field}: ${first?.message}${others}` }
}

const named = z.object({ fingerprint })

function inStorableYear(text: string): boolean {
  const year = new Date(text).getUTCFullYear()
  return year >= 1 && year <= 9999
}

/** One form for one instant: `startsAt` is part of an incident's key, and fractions arrive in any length. */
export const incidentOf = ({ fingerprint, startsAt }: Alert) => ({ fingerprint, startsAt: new Date(startsAt).toISOString() })

export const labelsText = ({ labels }: Alert): string => canonicalJson(labels)

const reasonLimit = 500

/** What people read later: the alert's own summary where it has one. */
export function alertReason({ labels, annotations }: Alert): string {
  const said = annotations['summary'] ?? annotations['description'] ?? annotations['message']
  return `alert ${labels['alertname']}${said ? `: ${said}` : ''}`.slice(0, reasonLimit).toWellFormed()
}
