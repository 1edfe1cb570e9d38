/** What Alertmanager posts. */
import { createHash } from 'node:crypto'

export type AlertFor = { namespace: string; deployment: string; cluster?: string; alertname?: string; extra?: Record<string, string>; startsAt?: string; status?: 'firing' | 'resolved' }

export function alert({ namespace, deployment, cluster = 'main', alertname = 'HighRequestLatency', extra = {}, startsAt = new Date().toISOString(), status = 'firing' }: AlertFor) {
  const labels = { alertname, severity: 'warning', cluster, namespace, deployment, ...extra }
  const fingerprint = createHash('sha256').update(JSON.stringify(labels)).digest('hex').slice(0, 16)
  const endsAt = status === 'resolved' ? new Date().toISOString() : '0001-01-01T00:00:00Z'
  return { status, labels, annotations: {}, startsAt, endsAt, generatorURL: '', fingerprint }
}

export const webhook = (alerts: ReturnType<typeof alert>[]) => ({
  version: '4',
  groupKey: '{}:{alertname="HighRequestLatency"}',
  truncatedAlerts: 0,
  status: alerts.some(({ status }) => status === 'firing') ? 'firing' : 'resolved',
  receiver: 'aegis',
  groupLabels: { alertname: 'HighRequestLatency' },
  commonLabels: {},
  commonAnnotations: {},
  externalURL: '',
  alerts,
})
