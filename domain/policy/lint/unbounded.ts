/** L8: an allow of what destroys, as wide as a wildcard, with nothing to bound it and nobody to ask. */
import type { Facts, PolicyInput } from '../input.ts'
import { actionMatches } from './action-cells.ts'
import { isEnforced, type Area } from './areas.ts'
import { cellsWhere } from './cells.ts'
import { named, type Finding } from './finding.ts'
import { meetBoxes } from './region.ts'
import { decisionOn, determines, requestsIn, witnessIn, type Ground } from './witness.ts'

const destructiveVerbs: readonly string[] = ['delete', 'rollback', 'scale']

export function unboundedAllows(ground: Ground, areas: readonly Area[]): Finding[] {
  return areas.filter((area) => isEnforced(area) && area.policy.document.effect === 'allow').flatMap((area) => {
    const { id, actions, resources } = area.policy.document
    const wide = actions.filter((pattern) => isDestructive(pattern) && (pattern.includes('*') || area.globs.some(({ segments }) => !isPinned(segments))))
    const witness = wide.length > 0 ? witnessOf(ground, area, wide) : null
    if (!witness) return []
    return [{
      code: 'L8' as const, severity: 'error' as const, policy: id, others: [], path: 'actions', witness,
      message: `this allows ${named(wide)} on ${named(resources)} ${extentText(witness)}, and asks nobody. Bound it both ways with \`request.*\`, or with \`maxReplicas\` and \`maxPercent\`, or ask for \`request.undo\` to be planned; or name the namespace and the action, or make it \`require_approval\``,
    }]
  })
}

function extentText({ action, request: { replicas } }: PolicyInput): string {
  if (!action.endsWith(':scale')) return 'whatever it costs, with no way back'
  return replicas === 0 ? 'down to no replica at all' : `up to ${Number(replicas)} replicas`
}

function isDestructive(pattern: string): boolean {
  const [kind = '', verb = ''] = pattern.split(':')
  return kind === 'node' || kind === '*' || verb === '*' || destructiveVerbs.includes(verb)
}

/** Held to one namespace of one cluster, or to one path of the API. */
function isPinned(segments: readonly string[]): boolean {
  const pinning = segments[0] === 'k8s' ? segments.slice(0, 3) : segments
  return pinning.length >= 3 && pinning.every((segment) => !segment.includes('*'))
}

/** No bound that is one lets all ready pods be taken, nor as many replicas be asked for as can be; nor, of what has no number, what cannot be undone. */
const extremes: readonly Facts[] = [{ replicas: 0, deltaReplicas: -4, percentOfReady: 100 }, { replicas: 1000, deltaReplicas: 996, percentOfReady: 0 }]
const whole: Facts = { percentOfReady: 100, undo: 'none' }

function witnessOf(ground: Ground, { policy, sure = [], globs }: Area, wide: readonly string[]): PolicyInput | null {
  const { actions } = ground.space
  const confirms = (input: PolicyInput): boolean => {
    const decision = decisionOn(ground, input)
    const { code, mode, breaches } = decision
    return code === 'allowed' && mode === 'auto' && breaches.length === 0 && determines(decision, policy)
  }
  const destroying = new Map([[actions, cellsWhere(actions.samples as string[], (action) => isDestructive(action) && wide.some((pattern) => actionMatches(pattern, action)))]])
  for (const box of sure) {
    const met = meetBoxes(box, destroying)
    if (!met) continue
    for (const glob of globs) {
      for (const extreme of extremes) {
        const asking = (action: string) => ({ request: action.endsWith(':scale') ? extreme : whole })
        const found = witnessIn(requestsIn(ground, met, [glob], asking), confirms)
        if (found) return found
      }
    }
  }
  return null
}
