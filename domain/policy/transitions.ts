import type { Facts, PolicyInput } from './input.ts'
import { proceeds, type Proceed } from './mode.ts'
import { severityRank } from './scales.ts'

/** Of a question that was put to the policies directly there is no remediation, and its id is that of its answer on record. */
export type RecordedDecision = { decisionId: string; remediationId: string | null; input: PolicyInput }

/** One recorded decision whose answer would change, told both ways. */
export type Example = {
  decisionId: string
  remediationId: string | null
  at: number
  action: string
  resource: string
  severity: string | null
  before: string
  after: string
}

/** `worst`: the highest severity, then the largest share of the ready pods. */
export type Transition = { from: Proceed; to: Proceed; count: number; first: Example; worst: Example }

/** Remediations, each counted once; the first of them by id. */
export type Remediations = { count: number; ids: string[] }

/** What changed, loosened first, the widest step before the others. */
export type Changes = {
  transitions: Transition[]
  /** Decisions that would now act and did not before: what a gate bounds. */
  newlyAllowed: number
  /** Decisions that acted and would now not. */
  newlyStopped: number
  letThrough: Remediations
  stopped: Remediations
}

export type ChangeLog = { note(from: Proceed, to: Proceed, recorded: RecordedDecision): void; report(): Changes }

/** How either side words its answer to a request. */
export type Words = { before(input: PolicyInput): string; after(input: PolicyInput): string }

const mostIds = 100

/** Of each kind of change only the first and the worst are kept. */
export function changeLog(words: Words): ChangeLog {
  const kinds = new Map<string, Kept>()
  const [letThrough, stopped] = [new Set<string>(), new Set<string>()]

  function note(from: Proceed, to: Proceed, recorded: RecordedDecision): void {
    if (recorded.remediationId !== null) {
      if (to === 'act') letThrough.add(recorded.remediationId)
      if (from === 'act') stopped.add(recorded.remediationId)
    }
    const kept = kinds.get(`${from}/${to}`)
    if (!kept) return void kinds.set(`${from}/${to}`, { from, to, count: 1, first: recorded, worst: recorded })
    kept.count += 1
    if (isWorse(recorded.input, kept.worst.input)) kept.worst = recorded
  }

  function report(): Changes {
    const told = [...kinds.values()].sort(byStep)
    const summed = (holds: (kept: Kept) => boolean): number => told.filter(holds).reduce((sum, { count }) => sum + count, 0)
    return {
      transitions: told.map(({ first, worst, ...counted }) => ({ ...counted, first: example(first, words), worst: example(worst, words) })),
      newlyAllowed: summed(({ to }) => to === 'act'),
      newlyStopped: summed(({ from }) => from === 'act'),
      letThrough: remediations(letThrough),
      stopped: remediations(stopped),
    }
  }

  return { note, report }
}

type Kept = { from: Proceed; to: Proceed; count: number; first: RecordedDecision; worst: RecordedDecision }

const example = ({ decisionId, remediationId, input }: RecordedDecision, { before, after }: Words): Example => ({
  decisionId,
  remediationId,
  at: input.now,
  action: input.action,
  resource: input.resource,
  severity: severityOf(input.context),
  before: before(input),
  after: after(input),
})

const severityOf = (context: Facts): string | null => (typeof context['severity'] === 'string' ? context['severity'] : null)

const isWorse = (a: PolicyInput, b: PolicyInput): boolean => {
  const [rankA, rankB] = [severityRank(severityOf(a.context)), severityRank(severityOf(b.context))]
  return rankA !== rankB ? rankA > rankB : shareOf(a) > shareOf(b)
}

const shareOf = ({ request }: PolicyInput): number => (typeof request['percentOfReady'] === 'number' ? request['percentOfReady'] : 0)

const stepOf = ({ from, to }: Pick<Kept, 'from' | 'to'>): number => proceeds.indexOf(to) - proceeds.indexOf(from)
const byStep = (a: Kept, b: Kept): number => stepOf(b) - stepOf(a) || b.count - a.count

const remediations = (ids: ReadonlySet<string>): Remediations => ({ count: ids.size, ids: [...ids].sort().slice(0, mostIds) })
