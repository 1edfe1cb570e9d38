import { z } from 'zod'
import { canonicalJson } from '../domain/canonical.ts'
import * as shape from './shapes.ts'

/** Names are whatever the metrics carry; only their size is bounded. `__proto__` and its like never get here. */
const labels = z.record(z.string().min(1).max(256), z.string().max(4096))

const alert = z.strictObject({
  status: z.enum(['firing', 'resolved']),
  labels: labels.refine(({ alertname }) => alertname !== undefined && alertname !== '', { path: ['alertname'], error: 'must be given: it says which alert this is' }),
  annotations: labels.default({}),
  startsAt: shape.instant,
  /** The zero time while it fires. */
  endsAt: shape.instant.optional(),
  generatorURL: z.string().max(4096).default(''),
  fingerprint: z.string().regex(/^[0-9a-f]{8,64}$/, 'must be the fingerprint that Alertmanager computes (hex digits)'),
})
export type Alert = z.output<typeof alert>

/** Alertmanager's webhook, version 4. Label and annotation names are free; everything else is known. */
export const webhookBody = z.strictObject({
  version: z.literal('4'),
  groupKey: z.string().max(8192),
  truncatedAlerts: z.int().min(0).default(0),
  status: z.enum(['firing', 'resolved']),
  receiver: z.string().max(256),
  groupLabels: labels.default({}),
  commonLabels: labels.default({}),
  commonAnnotations: labels.default({}),
  externalURL: z.string().max(4096).default(''),
  alerts: z.array(alert).min(1).max(1000),
})

/** One form for one instant: `startsAt` is part of an incident's key, and fractions arrive in any length. */
export const incidentOf = ({ fingerprint, startsAt }: Alert) => ({ fingerprint, startsAt: new Date(startsAt).toISOString() })

export const labelsText = ({ labels }: Alert): string => canonicalJson(labels)

const reasonLimit = 500

/** What people read later: the alert's own summary where it has one. */
export function alertReason({ labels, annotations }: Alert): string {
  const said = annotations['summary'] ?? annotations['description'] ?? annotations['message']
  return `alert ${labels['alertname']}${said ? `: ${said}` : ''}`.slice(0, reasonLimit).toWellFormed()
}
