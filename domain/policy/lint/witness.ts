import { candidatePlaces } from '../candidates.ts'
import { decide } from '../decide.ts'
import type { Decision } from '../decision.ts'
import type { Glob } from '../glob.ts'
import type { Facts, PolicyInput } from '../input.ts'
import { parseResource } from '../names.ts'
import { parseAttribute } from '../path.ts'
import { evaluate } from '../ruling.ts'
import type { CompiledPolicy, PolicySnapshot } from '../snapshot.ts'
import type { WallClock } from '../time.ts'
import type { Truth } from '../truth.ts'
import { firstCells, type Axis, type Cells } from './cells.ts'
import { spend, type Effort } from './effort.ts'
import { ownActions } from './facts.ts'
import { instantsIn } from './moment-cells.ts'
import type { Box } from './region.ts'
import { commonShapes, concreteResource, resourceText } from './resources.ts'
import type { Space } from './space.ts'

/** What every rule needs to look and to show. */
export type Ground = {
  snapshot: PolicySnapshot
  space: Space
  nowMs: number
  wallClock: WallClock
  tzdata: string
  /** What it takes to ask each once. */
  units: ReadonlyMap<CompiledPolicy, number>
  /** What the rule at work may still spend. */
  effort: Effort
}

/** What it takes to make a request up. */
const requestUnits = 20

const mostActions = 3
const mostChoices = 4
const mostInstants = 6

/** Facts a rule sets itself for an action, whatever the box says of them. */
type Given = { context?: Facts; request?: Facts; target?: Facts }

/** Requests in the box that all of the globs match: whole ones such as Aegis makes, the likeliest first, and few. */
export function* requestsIn(ground: Ground, box: Box, globs: readonly Glob[], given: (action: string) => Given = () => ({})): Generator<PolicyInput> {
  const { space, nowMs, wallClock } = ground
  if (!spend(ground.effort, requestUnits)) return
  const shapes = commonShapes(globs)
  if (shapes.length === 0) return
  const actions = firstCells(box.get(space.actions) ?? space.actions.all, mostActions).map((cell) => space.actions.samples[cell] as string)
  const types = firstCells(box.get(space.types) ?? space.types.all, 1).map((cell) => space.types.samples[cell] as PolicyInput['type'])
  const instants = firstOf(instantsIn(box, nowMs, wallClock, ground.effort), mostInstants)
  const facts = [...box].filter(([{ kind }]) => kind === 'fact')
  for (const action of actions) {
    for (let choice = 0; choice < mostChoices; choice++) {
      const segments = concreteResource(shapes, globs, (place) => fillerOf(action, place, choice))
      if (!segments) break
      for (const now of instants) {
        if (!spend(ground.effort, requestUnits * (1 + facts.length))) return
        const usual = usualRequest(ground, action, segments, { type: types[0]!, now })
        yield merged(facts.reduce((input, [axis, cells]) => withFact(input, axis, cells, choice), usual), given(action))
      }
    }
  }
}

function firstOf<T>(all: Iterable<T>, most: number): T[] {
  const found: T[] = []
  for (const one of all) if (found.push(one) === most) break
  return found
}

/** The first that the engine itself confirms, or null: then there is nothing to tell. */
export function witnessIn(requests: Iterable<PolicyInput>, confirms: (input: PolicyInput) => boolean): PolicyInput | null {
  for (const input of requests) if (confirms(input)) return input
  return null
}

const names = [['main', 'shop', 'web'], ['one', 'team', 'app'], ['c', 'n', 'o'], ['main', 'default', 'job']] as const

/** Scheme, cluster, namespace, kind and name of an object that stands for any. */
function fillerOf(action: string, place: number, choice: number): string {
  const [cluster, namespace, name] = names[choice % names.length]!
  return ['k8s', cluster, namespace, action.split(':')[0]!, name][place] ?? name
}

/** A request as a remediation makes it: every fact there that Aegis always gives, and nothing that would stop it. */
export function usualRequest({ tzdata }: Ground, action: string, segments: readonly string[], { type, now }: Pick<PolicyInput, 'type' | 'now'>): PolicyInput {
  const [, cluster = 'main', namespace = 'shop', kind = 'deployment', name = 'web'] = segments
  const counts = { effects: 0, bad: 0 }
  const windows = { '5m': counts, '1h': counts, '24h': counts }
  return {
    principal: { id: 'watcher', kind: 'service', owner: 'platform', roles: ['service'] },
    action,
    resource: resourceText(segments),
    type,
    context: { severity: 'high', door: 'alert', fault: 'none', cluster, namespace, workload: { kind: kind === 'pod' ? 'deployment' : kind, name }, attempt: 1 },
    request: requestOf(action),
    target: { desired: 4, updated: 4, ready: 4, available: 4, failing: 0, restarts: 0, faults: [], errorBudget: 'unsaid' },
    history: { sinceLastActionMs: null, workload: windows, namespace: windows, action: windows },
    approvals: [],
    now,
    tzdata,
  }
}

function requestOf(action: string): Facts {
  if (action === ownActions[0]) return { undo: 'none', percentOfReady: 0 }
  if (action === ownActions[1]) return { undo: 'planned', replicas: 5, deltaReplicas: 1, percentOfReady: 0 }
  return action === ownActions[2] ? { undo: 'planned', revision: 1, percentOfReady: 100 } : {}
}

export function withFact(input: PolicyInput, { key, samples }: Axis, cells: Cells, choice: number): PolicyInput {
  const cellsToTry = firstCells(cells, mostChoices)
  return setFact(input, parseAttribute(key)!, samples[cellsToTry[choice % cellsToTry.length]!])
}

/** A copy with the value at the path; undefined takes it away. */
function setFact<T extends object>(holder: T, [key = '', ...rest]: readonly string[], value: unknown): T {
  const before = (holder as Record<string, unknown>)[key]
  if (rest.length > 0) {
    const inner = typeof before === 'object' && before !== null && !Array.isArray(before) ? before : {}
    return value === undefined && before === undefined ? holder : { ...holder, [key]: setFact(inner, rest, value) }
  }
  if (value !== undefined) return { ...holder, [key]: value }
  const { [key]: _gone, ...others } = holder as Record<string, unknown>
  return others as T
}

const merged = (input: PolicyInput, { context, request, target }: Given): PolicyInput => ({
  ...input,
  context: { ...input.context, ...context },
  request: { ...input.request, ...request },
  target: { ...input.target, ...target },
})

export function truthOf({ units, effort }: Ground, policy: CompiledPolicy, input: PolicyInput): Truth {
  spend(effort, 1 + units.get(policy)!)
  return evaluate(policy, input).truth
}

export function decisionOn(ground: Ground, input: PolicyInput): Decision {
  const segments = parseResource(input.resource, false)?.segments ?? []
  const places = candidatePlaces(ground.snapshot.index, input.action, segments)
  spendOn(ground, places.map((place) => ground.snapshot.policies[place]!))
  return decide(ground.snapshot, input)
}

/** What asking each of these policies once takes. */
export function spendOn({ units, effort }: Ground, policies: readonly CompiledPolicy[]): void {
  spend(effort, requestUnits + policies.reduce((sum, policy) => sum + units.get(policy)!, 0))
}

export const determines = ({ determining }: Decision, { document }: CompiledPolicy): boolean => determining.some(({ id }) => id === document.id)
