import { alertReason, incidentOf, readAlert, webhookBody, type Alert } from './alertmanager.ts'
import { inLanes } from './alerts.ts'
import { parseStrict } from './body.ts'
import { routes } from './routes.ts'

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

const read = (given: unknown): Alert => {
  const got = readAlert(given)
  if ('unreadable' in got) throw new Error(got.unreadable)
  return got
}

test('what Alertmanager sends passes, with labels nobody knows', () => {
  expect(fields(webhook)).toEqual([])
  expect(read(alert).labels).toEqual(alert.labels)
})

test.each([
  ['another version', { ...webhook, version: '5' }, 'version invalid_value'],
  ['no alerts', { ...webhook, alerts: [] }, 'alerts too_small'],
  ['too many alerts', { ...webhook, alerts: Array.from({ length: 1001 }, () => alert) }, 'alerts too_big'],
  ['an unknown field', { ...webhook, extra: 1 }, ' unrecognized_keys'],
  ['alerts that are no list', { ...webhook, alerts: alert }, 'alerts invalid_type'],
  ['a group label that is no text', { ...webhook, groupLabels: { n: 1 } }, 'groupLabels.n invalid_type'],
])('%s refuses the webhook', (_name, body, field) => expect(fields(body)).toEqual([field]))

test('a webhook stands, however odd its alerts and however long what repeats them', () => {
  const long = { text: 'x'.repeat(10_000) }
  expect(fields({ ...webhook, alerts: [alert, 7, {}] })).toEqual([])
  expect(fields({ ...webhook, groupKey: long.text, groupLabels: long, commonLabels: long, commonAnnotations: long, externalURL: long.text })).toEqual([])
})

const known = alert.fingerprint
test.each<[string, unknown, string, string | undefined]>([
  ['an unknown field', { ...alert, action: 'restart_pod' }, '`action`: unknown field: remove it', known],
  ['a label that is no text', { ...alert, labels: { ...alert.labels, n: 1 } }, '`labels.n`: must be a text, not a number', known],
  ['a label that is too long', { ...alert, labels: { ...alert.labels, n: 'x'.repeat(4097) } }, '`labels.n`: must be at most 4096 characters', known],
  ['no alertname', { ...alert, labels: {} }, '`labels.alertname`: missing', known],
  ['an empty alertname', { ...alert, labels: { alertname: '' } }, '`labels.alertname`: must be given', known],
  ['an annotation that is no text', { ...alert, annotations: { n: null } }, '`annotations.n`: must be a text, not null', known],
  ['no fingerprint', { ...alert, fingerprint: undefined }, '`fingerprint`: missing', undefined],
  ['a fingerprint that is none', { ...alert, fingerprint: '<b>' }, '`fingerprint`: must be the fingerprint', undefined],
  ['a time that is none', { ...alert, startsAt: 'yesterday' }, '`startsAt`: must be an ISO 8601 time', known],
  ['a time before the first year', { ...alert, startsAt: '0001-01-01T00:00:00+01:00' }, '`startsAt`: must be a time in the years 1 to 9999', known],
  ['a time after the last', { ...alert, startsAt: '9999-12-31T23:59:59-01:00' }, '`startsAt`: must be a time in the years 1 to 9999', known],
  ['nothing at all', null, 'the alert: must be an object, not null', undefined],
  ['several faults', { ...alert, status: 'on', startsAt: 1 }, '(and 1 more)', known],
])('an alert with %s is unreadable, and says why', (_name, given, said, fingerprint) =>
  expect(readAlert(given)).toEqual({ fingerprint, unreadable: expect.stringContaining(said) }))

describe('an alert that holds what may not come in costs no other', () => {
  const apart = routes.find(({ path }) => path === '/api/v1/alerts')?.apart ?? undefined
  const good = JSON.stringify(alert)

  test.each([
    ['a label named constructor', good.replace('"a_label_nobody_knows"', '"constructor"'), /`alerts\[1\]\.labels\.constructor`: the key/],
    ['a label named __proto__', good.replace('"a_label_nobody_knows"', '"__proto__"'), /`alerts\[1\]\.labels\.__proto__`: the key/],
    ['a NUL', good.replace('p99', '\\u0000'), /`alerts\[1\]\.annotations\.summary`: a string holds a NUL/],
    ['half a surrogate pair', good.replace('p99', '\\ud800'), /half of a surrogate pair/],
    ['a key given twice', good.replace('"status"', '"status":"firing","status"'), /given twice/],
    ['a number too large', good.replace('"p99 above 2 s"', '1e400'), /too large/],
  ])('%s', (_what, odd, reason) => {
    const text = `{"version":"4","groupKey":"g","status":"firing","receiver":"aegis","commonLabels":{"constructor":"x"},"alerts":[${good},${odd},${good}]}`
    const { alerts } = webhookBody.parse(parseStrict(text, apart))
    expect(alerts.map((each) => 'labels' in readAlert(each))).toEqual([true, false, true])
    expect(readAlert(alerts[1])).toEqual({ fingerprint: undefined, unreadable: expect.stringMatching(reason) })
  })

  test('what is no JSON is refused whole, and so is an odd envelope', () => {
    expect(() => parseStrict(`{"alerts":[${good},{]}`, apart)).toThrow(/malformed|not JSON/)
    expect(() => parseStrict(`{"alerts":[${good}],"constructor":1}`, apart)).toThrow(/never allowed/)
  })

  test('thousands of labels are refused before they are read', () => {
    const crowded = { ...alert, labels: Object.fromEntries(Array.from({ length: 501 }, (_, n) => [`l${n}`, 'x'])) }
    expect(readAlert(crowded)).toEqual({ fingerprint: undefined, unreadable: '`labels`: more than 500 names' })
  })
})

test('what Aegis does not use may be of any length', () => {
  const long = 'x'.repeat(10_000)
  expect(alertReason(read({ ...alert, generatorURL: long, annotations: { summary: 'slow', runbook: long, [long]: '' } }))).toBe('alert HighRequestLatency: slow')
  expect(alertReason(read({ ...alert, annotations: { summary: long } }))).toHaveLength(500)
})

test('an incident has one spelling of its start, however many digits arrive', () => {
  const starts = ['2026-03-01T10:00:00.123456789Z', '2026-03-01T10:00:00.123Z', '2026-03-01T11:00:00.123+01:00']
  const keys = starts.map((startsAt) => incidentOf(read({ ...alert, startsAt })))
  expect(new Set(keys.map((key) => key.startsAt))).toEqual(new Set(['2026-03-01T10:00:00.123Z']))
})

test("a remediation's reason is the alert's own summary, cut to size", () => {
  expect(alertReason(read(alert))).toBe('alert HighRequestLatency: p99 above 2 s')
  expect(alertReason({ ...read(alert), annotations: { summary: 'x'.repeat(4000) } })).toHaveLength(500)
})

test('lanes keep their order, run side by side, and answer in the order given', async () => {
  let running = 0
  let most = 0
  const seen: Record<string, number[]> = { a: [], b: [], c: [] }
  const items = Array.from({ length: 30 }, (_, index) => ({ index, lane: 'abc'[index % 3]! }))
  const results = await inLanes(items, ({ lane }) => lane, 2, async (all) => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setTimeout(resolve, 1))
    for (const { index, lane } of all) seen[lane]?.push(index)
    running--
    return all.map(({ index }) => index)
  })
  expect(results).toEqual(items.map(({ index }) => index))
  expect(most).toBe(2)
  for (const indexes of Object.values(seen)) expect(indexes).toEqual([...indexes].sort((a, b) => a - b))
})
