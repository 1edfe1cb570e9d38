import { alertReason, incidentOf, webhookBody } from './alertmanager.ts'
import { inLanes } from './alerts.ts'

const alert = {
  status: 'firing',
  labels: { alertname: 'HighRequestLatency', namespace: 'shop', deployment: 'cart', a_label_nobody_knows: 'x' },
  annotations: { summary: 'p99 above 2 s' },
  startsAt: '2026-03-01T10:00:00.123456789Z',
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: 'http://prometheus/graph',
  fingerprint: 'a1b2c3d4e5f60718',
}
const webhook = {
  version: '4', groupKey: '{}:{alertname="HighRequestLatency"}', truncatedAlerts: 0, status: 'firing', receiver: 'aegis',
  groupLabels: { alertname: 'HighRequestLatency' }, commonLabels: {}, commonAnnotations: {}, externalURL: 'http://alertmanager', alerts: [alert],
}
const fields = (body: unknown) => (webhookBody.safeParse(body).error?.issues ?? []).map(({ path, code }) => `${path.join('.')} ${code}`)

test('what Alertmanager sends passes, with labels nobody knows', () => expect(fields(webhook)).toEqual([]))

test.each([
  ['another version', { ...webhook, version: '5' }, 'version invalid_value'],
  ['no alerts', { ...webhook, alerts: [] }, 'alerts too_small'],
  ['too many alerts', { ...webhook, alerts: Array.from({ length: 1001 }, () => alert) }, 'alerts too_big'],
  ['an unknown field', { ...webhook, extra: 1 }, ' unrecognized_keys'],
  ['an unknown field of an alert', { ...webhook, alerts: [{ ...alert, action: 'restart_pod' }] }, 'alerts.0 unrecognized_keys'],
  ['a label that is no text', { ...webhook, alerts: [{ ...alert, labels: { ...alert.labels, n: 1 } }] }, 'alerts.0.labels.n invalid_type'],
  ['no alertname', { ...webhook, alerts: [{ ...alert, labels: {} }] }, 'alerts.0.labels.alertname custom'],
  ['no fingerprint', { ...webhook, alerts: [{ ...alert, fingerprint: undefined }] }, 'alerts.0.fingerprint invalid_type'],
  ['a time that is none', { ...webhook, alerts: [{ ...alert, startsAt: 'yesterday' }] }, 'alerts.0.startsAt invalid_format'],
])('%s is refused', (_name, body, field) => expect(fields(body)).toEqual([field]))

test('an incident has one spelling of its start, however many digits arrive', () => {
  const starts = ['2026-03-01T10:00:00.123456789Z', '2026-03-01T10:00:00.123Z', '2026-03-01T11:00:00.123+01:00']
  const keys = starts.map((startsAt) => incidentOf(webhookBody.parse({ ...webhook, alerts: [{ ...alert, startsAt }] }).alerts[0]!))
  expect(new Set(keys.map((key) => key.startsAt))).toEqual(new Set(['2026-03-01T10:00:00.123Z']))
})

test("a remediation's reason is the alert's own summary, cut to size", () => {
  const [parsed] = webhookBody.parse(webhook).alerts
  expect(alertReason(parsed!)).toBe('alert HighRequestLatency: p99 above 2 s')
  expect(alertReason({ ...parsed!, annotations: { summary: 'x'.repeat(4000) } })).toHaveLength(500)
})

test('lanes keep their order, run side by side, and answer in the order given', async () => {
  let running = 0
  let most = 0
  const seen: Record<string, number[]> = { a: [], b: [], c: [] }
  const items = Array.from({ length: 30 }, (_, index) => ({ index, lane: 'abc'[index % 3]! }))
  const results = await inLanes(items, ({ lane }) => lane, 2, async ({ index, lane }) => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setTimeout(resolve, 1))
    seen[lane]?.push(index)
    running--
    return index
  })
  expect(results).toEqual(items.map(({ index }) => index))
  expect(most).toBe(2)
  for (const indexes of Object.values(seen)) expect(indexes).toEqual([...indexes].sort((a, b) => a - b))
})
