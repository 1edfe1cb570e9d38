/** L12: a share of the ready pods that comes to less than one pod where there are few. */
import type { PolicyInput } from '../input.ts'
import { compileLeaf } from '../operators.ts'
import { policyAction } from '../../remediation.ts'
import { isEnforced, type Area } from './areas.ts'
import { actionMatches } from './action-cells.ts'
import type { Finding } from './finding.ts'
import { placedLeaves } from './places.ts'
import { decisionOn, requestsIn, truthOf, witnessIn, type Ground } from './witness.ts'

/** Past this many ready pods a share that takes none is a ban. */
const mostReady = 200

/** A bound on `request.percentOfReady`: whether it lets this share be taken, and what shows that it does not. */
type Bound = { path: string; permits(percent: number): boolean; refuses(input: PolicyInput, larger: PolicyInput): boolean }

export const flooredPercents = (ground: Ground, areas: readonly Area[]): Finding[] =>
  areas.filter((area) => isEnforced(area) && onePodAtATime(area).length > 0).flatMap((area) =>
    [...obliged(ground, area), ...asked(ground, area)].flatMap((bound) => floored(ground, area, bound)))

/** Actions that can take one ready pod; a rollback may replace them all. */
const onePodAtATime = ({ policy: { document } }: Area): string[] =>
  [policyAction.restart_pod, policyAction.scale_deployment].filter((action) => document.actions.some((pattern) => actionMatches(pattern, action)))

function obliged(ground: Ground, { policy: { obligations: { maxPercent } } }: Area): Bound[] {
  if (maxPercent === null) return []
  const breaks = (input: PolicyInput): boolean => decisionOn(ground, input).breaches.some(({ obligation }) => obligation === 'maxPercent')
  return [{ path: 'obligations.maxPercent', permits: (percent) => percent <= maxPercent, refuses: (input) => breaks(input) }]
}

function asked(ground: Ground, { policy }: Area): Bound[] {
  return placedLeaves(policy.document).flatMap(({ leaf, path, positive }) => {
    if (!('attr' in leaf) || leaf.attr !== 'request.percentOfReady') return []
    const test = compileLeaf(leaf)
    const permitting = policy.document.effect !== 'deny'
    return [{
      path,
      permits: (percent: number) => test(percent) === (positive === permitting),
      refuses: (input: PolicyInput, larger: PolicyInput) => truthOf(ground, policy, input) === !permitting && truthOf(ground, policy, larger) === permitting,
    }]
  })
}

function floored(ground: Ground, area: Area, { path, permits, refuses }: Bound): Finding[] {
  const enough = Array.from({ length: mostReady }, (_, at) => at + 1).find((ready) => permits(100 / ready)) ?? mostReady + 1
  const never = enough > mostReady
  // A floor, or nothing ready at all, is what it says; a bound of none or next to none is not.
  if (enough === 1 || (never ? path !== 'obligations.maxPercent' : !permits(100 / mostReady))) return []
  const few = enough - 1
  const witness = witnessOf(ground, area, few, refuses)
  if (!witness) return []
  const which = never ? `with as many as ${few} ready pods` : few === 1 ? 'with one ready pod' : `with up to ${few} ready pods`
  return [{
    code: 'L12', severity: 'notice', policy: area.policy.document.id, others: [], path, witness,
    message: `${which} this lets none of them be taken: the share of one is ${shareText(100 / few)} %. If that is not meant, raise the bound`,
  }]
}

const shareText = (percent: number): string => String(Number(percent.toFixed(2)))

function witnessOf(ground: Ground, area: Area, few: number, refuses: Bound['refuses']): PolicyInput | null {
  const { sure = [], globs } = area
  const actions = onePodAtATime(area)
  const taking = (ready: number) => (action: string) => ({
    request: action.endsWith(':scale') ? { replicas: ready - 1, deltaReplicas: -1, percentOfReady: 100 / ready } : { percentOfReady: 100 / ready },
    target: { desired: ready, updated: ready, ready, available: ready },
  })
  for (const box of sure) {
    for (const glob of globs) {
      const found = witnessIn(requestsIn(ground, box, [glob], taking(few)), (input) => {
        const larger = { ...input, request: { ...input.request, percentOfReady: 100 / (few + 1) } }
        return actions.includes(input.action) && refuses(input, larger)
      })
      if (found) return found
    }
  }
  return null
}
