/** L5: a deny or an approval policy that reads a fact which may be missing, and so holds where nobody meant it to. */
import type { PolicyInput } from '../input.ts'
import { isEnforced, unsureOf, type Area } from './areas.ts'
import { cellsWhere, type Axis, type Cells } from './cells.ts'
import { spend } from './effort.ts'
import { isOfType, knownFact, ownActions } from './facts.ts'
import type { Finding } from './finding.ts'
import { meetBoxes, type Box, type Region } from './region.ts'
import { leavesOf } from './space.ts'
import { decisionOn, determines, requestsIn, truthOf, witnessIn, type Ground } from './witness.ts'

/** Allows tried for a question that only comes up where something would be allowed. */
const mostAllows = 50

/** What it takes to look at one fact of a box. */
const boxUnits = 0.5

export function unguaranteedFacts(ground: Ground, areas: readonly Area[]): Finding[] {
  return areas
    .filter((area) => isEnforced(area) && area.policy.document.effect !== 'allow' && area.policy.document.type.includes('self_healing'))
    .flatMap((area) => {
      const facts = factsOf(area)
      const unsure = facts.length > 0 ? unsureOf(ground.space, area) : undefined
      return facts.flatMap((attr) => missingFact(ground, areas, area, unsure, attr))
    })
}

const factsOf = ({ policy: { document } }: Area): string[] =>
  [...new Set([...leavesOf(document.when), ...leavesOf(document.unless)].flatMap((leaf) => ('attr' in leaf && (knownFact(leaf.attr)?.guaranteed.length ?? 0) < ownActions.length ? [leaf.attr] : [])))]

function missingFact(ground: Ground, areas: readonly Area[], area: Area, unsure: Region, attr: string): Finding[] {
  const lacking = ownActions.filter((action) => !knownFact(attr)?.guaranteed.includes(action))
  const shown = lacking.flatMap((action) => {
    if (!spend(ground.effort, 1 + boxUnits * (unsure ?? []).reduce((sum, { size }) => sum + size, 0))) return []
    const witness = witnessFor(ground, areas, area, unsureWithout(ground, unsure, attr, action))
    return witness ? [{ action, witness }] : []
  })
  const [first] = shown
  if (!first) return []
  const { id, effect } = area.policy.document
  const does = effect === 'deny' ? 'denies' : 'asks a person'
  return [{
    code: 'L5', severity: 'warning', policy: id, others: [], path: pathOf(area, attr), witness: first.witness,
    message: `\`${attr}\` may be missing for ${shown.map(({ action }) => action).join(', ')}; the answer is then unknown, and this policy ${does}. If that is not meant, ask \`exists\` first`,
  }]
}

function pathOf({ policy: { document } }: Area, attr: string): string {
  return leavesOf(document.when).some((leaf) => 'attr' in leaf && leaf.attr === attr) ? 'when' : 'unless'
}

/** Requests as Aegis makes them for this action, each fact there that it guarantees, and this one not. */
function unsureWithout({ space }: Ground, unsure: Region, attr: string, action: string): Box[] {
  const usual = new Map<Axis, Cells>([
    [space.actions, cellsWhere(space.actions.samples, (one) => one === action)],
    [space.types, cellsWhere(space.types.samples, (type) => type === 'self_healing')],
  ])
  const gone = space.fact(attr)
  if (gone) usual.set(gone, cellsWhere(gone.samples, (value) => value === undefined))
  return (unsure ?? []).flatMap((box) => {
    const met = meetBoxes(box, usual)
    const plain = met && meetBoxes(met, usualFacts(met, attr, action))
    return plain ? [plain] : []
  })
}

function usualFacts(box: Box, attr: string, action: string): Box {
  const found = new Map<Axis, Cells>()
  for (const [axis] of box) {
    const fact = axis.kind === 'fact' && axis.key !== attr ? knownFact(axis.key) : undefined
    if (fact) found.set(axis, cellsWhere(axis.samples, (value) => isOfType(value, fact) || (value === undefined && !fact.guaranteed.includes(action))))
  }
  return found
}

function witnessFor(ground: Ground, areas: readonly Area[], { policy, globs }: Area, boxes: readonly Box[]): PolicyInput | null {
  const { effect } = policy.document
  const confirms = (input: PolicyInput): boolean => {
    if (truthOf(ground, policy, input) !== 'unknown') return false
    const decision = decisionOn(ground, input)
    return decision.code === (effect === 'deny' ? 'deny_indeterminate' : 'approval_indeterminate') && determines(decision, policy)
  }
  // An approval policy that is unknown asks only where an allow is sure.
  const allows = effect === 'deny' ? [] : areas.filter((area) => isEnforced(area) && area.policy.document.effect === 'allow').slice(0, mostAllows)
  for (const box of boxes) {
    for (const glob of globs) {
      if (!spend(ground.effort, 1)) return null
      const requests = effect === 'deny' ? [requestsIn(ground, box, [glob])] : allows.flatMap((allow) =>
        (allow.sure ?? []).flatMap((sure) => {
          const met = spend(ground.effort, box.size + 5 * allow.globs.length) ? meetBoxes(box, sure) : undefined
          return met ? allow.globs.map((other) => requestsIn(ground, met, [glob, other])) : []
        }))
      for (const some of requests) {
        const found = witnessIn(some, confirms)
        if (found) return found
      }
    }
  }
  return null
}
