import { classify, type Fault } from '../faults.ts'
import type { FaultClass } from '../remediation.ts'
import type { WorkloadFacts } from './facts.ts'
import { fingerprintOf, incidentOf, type Incident } from './incident.ts'
import { isMajority, room, type Majority } from './guards.ts'

export type WatchRules = {
  /** How long a fault must have held, in milliseconds. */
  dwellMs: Readonly<Record<FaultClass, number>>
  /** Over how many fresh looks, and how old a view may be to prove anything, a fault or its end. */
  looks: number
  freshMs: number
  /** Whether the rules lead from this incident to an action. The guards hold only those that do. */
  acts(incident: Incident): boolean
  /** At this share of failing workloads nothing is asked for: it is not a local fault then. 0 switches it off. */
  majorityStopPercent: number
  requestsPerMinute: number
  /** Epoch milliseconds as ISO 8601, UTC. */
  isoTime(ms: number): string
}

/** One fault being followed. Plain data, so that a state can be kept and compared. */
export type Case = {
  incident: Incident
  workloadUid: string
  firstSeenMs: number
  countedAtMs: number
  /** Looks in a row that found it. */
  looks: number
  /** Looks in a row that no longer found it, since it was raised. */
  absences: number
  raisedAtMs: number | null
  toldAtMs: number | null
}

export type WatchState = {
  cases: ReadonlyMap<string, Case>
  /** Requests of the last minute. */
  requestedAtMs: readonly number[]
  majority: Majority
  /** How many are due and wait for room in the minute. */
  waiting: number
}

export type Observed = {
  state: WatchState
  /** Incidents that have lasted, each once. */
  raise: Incident[]
  /** Raised before and lasting still: what they asked for may be asked again (frozen, limited, …). */
  remind: Incident[]
  /** Raised before and gone. */
  clear: Incident[]
  /** Due, but kept back by a guard (`state` says which); they come again by themselves. */
  held: Incident[]
}

/** What a watcher is given unless its settings say otherwise. */
export const usualLooks = { looks: 3, freshMs: 30_000 }
/** Looks closer together than this count as one. */
export const lookSpacingMs = 900
export const remindEveryMs = 60_000

export const nothingSeen: WatchState = { cases: new Map(), requestedAtMs: [], majority: { stopped: false, failing: 0, watched: 0 }, waiting: 0 }

/**
 * Follows what a whole view of one cluster shows. `facts` holds every watched workload: one that is
 * missing is gone. A fault is raised once it has held for its dwell and over enough fresh looks.
 */
export function observe(state: WatchState, facts: readonly WorkloadFacts[], nowMs: number, rules: WatchRules): Observed {
  const seen = look(facts, nowMs)
  const followed = follow(state.cases, seen, nowMs, rules)
  const majority = isMajority(seen.watched, seen.failing.size, rules.majorityStopPercent)
  const isGone = ({ absences }: Case) => absences >= rules.looks
  const clear = followed.filter(isGone)
  const lasting = followed.filter((one) => !isGone(one))

  const due = lasting.filter((one) => one.raisedAtMs === null && isDue(one, seen.faults.get(keyOf(one)), nowMs, rules)).sort(oldestFirst)
  const acting = due.filter(({ incident }) => rules.acts(incident))
  const free = majority.stopped ? 0 : room(state.requestedAtMs, rules.requestsPerMinute, nowMs)
  const [asked, kept] = [acting.slice(0, free), acting.slice(free)]
  const raised = new Set([...asked, ...due.filter((one) => !acting.includes(one))])
  const reminded = majority.stopped ? [] : lasting.filter((one) => isTimeToRemind(one, nowMs) && rules.acts(one.incident))

  const marked = lasting.map((one) => mark(one, { raised: raised.has(one), reminded: reminded.includes(one), nowMs }))
  const requestedAtMs = [...state.requestedAtMs.filter((atMs) => nowMs - atMs < 60_000), ...asked.map(() => nowMs)]
  return {
    state: { cases: new Map(marked.map((one) => [keyOf(one), one])), requestedAtMs, majority, waiting: majority.stopped ? 0 : kept.length },
    raise: [...raised].map(incidentIn),
    remind: reminded.map(incidentIn),
    clear: clear.map(incidentIn),
    held: kept.map(incidentIn),
  }
}

/** Takes an incident back that could not be handed over, so that it is raised again. */
export function putBack(state: WatchState, incident: Incident): WatchState {
  const one = state.cases.get(incident.key.fingerprint)
  if (!one) return state
  return { ...state, cases: new Map(state.cases).set(incident.key.fingerprint, { ...one, raisedAtMs: null, toldAtMs: null }) }
}

/** Keeps following an incident whose end could not be handed over; the next look finds it gone again. */
export function keepOpen(state: WatchState, incident: Incident, nowMs: number): WatchState {
  const { key, workload } = incident
  const open: Case = { incident, workloadUid: workload.uid, firstSeenMs: nowMs, countedAtMs: 0, looks: 0, absences: usualLooks.looks - 1, raisedAtMs: nowMs, toldAtMs: nowMs }
  return { ...state, cases: new Map(state.cases).set(key.fingerprint, open) }
}

const incidentIn = ({ incident }: Case) => incident
const keyOf = ({ incident }: Case) => incident.key.fingerprint
const oldestFirst = (a: Case, b: Case) => a.incident.startedAtMs - b.incident.startedAtMs || (keyOf(a) < keyOf(b) ? -1 : 1)

type Sighting = { workload: WorkloadFacts; fault: Fault }
type Seen = { byUid: Map<string, WorkloadFacts>; faults: Map<string, Sighting>; failing: Set<string>; watched: number }

function look(facts: readonly WorkloadFacts[], nowMs: number): Seen {
  const byUid = new Map(facts.map((workload) => [workload.uid, workload]))
  const faults = new Map<string, Sighting>()
  for (const workload of byUid.values()) {
    for (const fault of classify(workload, nowMs)) faults.set(fingerprintOf(workload, fault), { workload, fault })
  }
  const failing = new Set([...faults.values()].map(({ workload }) => workload.uid))
  const watched = [...byUid.values()].filter(({ ignored, desired }) => !ignored && desired > 0).length
  return { byUid, faults, failing, watched }
}

/** Every case after this look: known ones counted on, new ones opened, those that broke off before they were raised forgotten. */
function follow(cases: WatchState['cases'], seen: Seen, nowMs: number, rules: WatchRules): Case[] {
  const known = [...cases.values()].flatMap((one) => countOn(one, seen, nowMs, rules))
  const opened = [...seen.faults]
    .filter(([key, { workload }]) => !cases.has(key) && isFresh(workload, nowMs, rules))
    .map(([, { workload, fault }]): Case => {
      const incident = incidentOf(workload, fault, rules.isoTime)
      return { incident, workloadUid: workload.uid, firstSeenMs: workload.readAtMs, countedAtMs: workload.readAtMs, looks: 1, absences: 0, raisedAtMs: null, toldAtMs: null }
    })
  return [...known, ...opened]
}

const isFresh = ({ readAtMs }: WorkloadFacts, nowMs: number, { freshMs }: WatchRules) => nowMs - readAtMs <= freshMs

function countOn(one: Case, seen: Seen, nowMs: number, rules: WatchRules): Case[] {
  const workload = seen.byUid.get(one.workloadUid)
  if (workload && !isFresh(workload, nowMs, rules)) return [one]
  const readAtMs = workload ? workload.readAtMs : nowMs
  if (readAtMs - one.countedAtMs < lookSpacingMs) return [one]
  const sighting = seen.faults.get(keyOf(one))
  if (!sighting) return one.raisedAtMs === null ? [] : [{ ...one, countedAtMs: readAtMs, absences: one.absences + 1 }]
  const { key } = one.incident
  const now = incidentOf(sighting.workload, sighting.fault, rules.isoTime)
  // What was raised keeps its key: pods come and go while the fault stays the same.
  const incident = one.raisedAtMs === null ? now : { ...now, key }
  const continued = one.countedAtMs > 0 && readAtMs - one.countedAtMs <= rules.freshMs // a gap in looking is no evidence
  return [{ ...one, incident, countedAtMs: readAtMs, absences: 0, looks: continued ? one.looks + 1 : 1, firstSeenMs: continued ? one.firstSeenMs : readAtMs }]
}

function isDue(one: Case, sighting: Sighting | undefined, nowMs: number, rules: WatchRules): boolean {
  if (!sighting || one.looks < rules.looks || !isFresh(sighting.workload, nowMs, rules)) return false
  return nowMs - (sighting.fault.heldSinceMs ?? one.firstSeenMs) >= rules.dwellMs[sighting.fault.fault]
}

const isTimeToRemind = ({ raisedAtMs, toldAtMs, absences }: Case, nowMs: number) =>
  raisedAtMs !== null && absences === 0 && nowMs - (toldAtMs ?? raisedAtMs) >= remindEveryMs

type Marks = { raised: boolean; reminded: boolean; nowMs: number }

const mark = (one: Case, { raised, reminded, nowMs }: Marks): Case => ({
  ...one,
  raisedAtMs: raised ? nowMs : one.raisedAtMs,
  toldAtMs: raised || reminded ? nowMs : one.toldAtMs,
})
