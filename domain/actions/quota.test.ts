import { parseQuantity, podNeeds, shortages, type ContainerNeeds, type Quota } from './quota.ts'

test.each([
  ['1', 1],
  ['250m', 0.25],
  ['0.5', 0.5],
  ['.5', 0.5],
  ['2k', 2_000],
  ['1Ki', 1_024],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['1e3', 1_000],
  ['12E', 12e18],
  ['100n', 1e-7],
  ['', undefined],
  ['lots', undefined],
  ['1 Gi', undefined],
  ['1Kib', undefined],
])('the quantity `%s` is %p', (text, expected) => {
  const parsed = parseQuantity(text)
  if (expected === undefined) expect(parsed).toBeUndefined()
  else expect(parsed).toBeCloseTo(expected, 10)
})

const none = { requests: {}, limits: {} }
const main = (cpu?: string, memory?: string): ContainerNeeds => ({ role: 'main', requests: { ...(cpu && { cpu }), ...(memory && { memory }) }, limits: {} })

test.each<[string, ContainerNeeds[], typeof none, string, number | undefined]>([
  ['containers add up', [main('250m'), main('1')], none, 'requests.cpu', 1.25],
  ['the short name means the same', [main('250m')], none, 'cpu', 0.25],
  ['a limit is a request where none is given', [{ role: 'main', requests: {}, limits: { cpu: '2' } }], none, 'requests.cpu', 2],
  ['defaults fill in', [main()], { requests: { cpu: '100m' }, limits: {} }, 'requests.cpu', 0.1],
  ['default limits fill in too', [main()], { requests: {}, limits: { memory: '1Gi' } }, 'limits.memory', 2 ** 30],
  ['a big init container counts alone', [main('1'), { ...main('3'), role: 'init' }], none, 'requests.cpu', 3],
  ['a sidecar stays beside the others', [main('1'), { ...main('3'), role: 'sidecar' }], none, 'requests.cpu', 4],
  ['one container without an amount leaves the pod without one', [main('1'), main()], none, 'requests.cpu', undefined],
  ['every pod counts as one', [main()], none, 'pods', 1],
])('%s', (_what, containers, defaults, resource, expected) => expect(podNeeds(containers, defaults).get(resource)).toBe(expected))

const quota = (hard: Record<string, string>, used: Record<string, string> = {}): Quota => ({ name: 'team', scoped: false, hard, used })
const needs = podNeeds([main('500m', '1Gi')], none)
const shortOf = (more: number, given: Quota) => shortages(more, needs, [given]).map(({ resource }) => resource)

test.each<[string, number, Quota, string[]]>([
  ['there is room', 2, quota({ pods: '10', cpu: '2' }, { pods: '3', cpu: '1' }), []],
  ['exactly enough is enough', 2, quota({ 'requests.cpu': '2' }, { 'requests.cpu': '1' }), []],
  ['too few pods', 3, quota({ pods: '5' }, { pods: '3' }), ['pods']],
  ['too little memory', 3, quota({ 'requests.memory': '4Gi' }, { 'requests.memory': '2Gi' }), ['requests.memory']],
  ['a quota on limits refuses pods without one', 1, quota({ 'limits.cpu': '100' }), ['limits.cpu']],
  ['other resources are not ours to judge', 1, quota({ secrets: '0', 'count/jobs.batch': '0' }), []],
])('%s', (_what, more, given, expected) => expect(shortOf(more, given)).toEqual(expected))
