/** L8: an allow of what destroys, as wide as a wildcard, with nothing to bound it and nobody to ask. */
import type { Facts, PolicyInput } from '../input.ts'
import { actionMatches } from './action-cells.ts'
import { isEnforced, type Area } from './areas.ts'
import { cellsWhere } from './cells.ts'
import { named, type Finding } from './finding.ts'
import { meetBoxes } from './region.ts'
import { leavesOf } from './space.ts'
import { decisionOn, determines, requestsIn, witnessIn, type Ground } from './witness.ts'

const destructiveVerbs: readonly string[] = ['delete', 'rollback', 'scale']

export function unboundedAllows(ground: Ground, areas: readonly Area[]): Finding[] {
  return areas.filter((area) => isEnforced(area) && area.policy.document.effect === 'allow' && !isBounded(area)).flatMap((area) => {
    const { id, actions, resources } = area.policy.document
    const wide = actions.filter((pattern) => isDestructive(pattern) && (pattern.includes('*') || area.globs.some(({ segments }) => !isPinned(segments))))
    const witness = wide.length > 0 ? witnessOf(ground, area, wide) : null
    if (!witness) return []
    return [{
      code: 'L8' as const, severity: 'error' as const, policy: id, others: [], path: 'actions', witness,
      message: `this allows ${named(wide)} on ${named(resources)} without any bound and without asking anybody. Bound it with \`request.*\` or \`maxReplicas\` or \`maxPercent\`, name the namespace and the action, or make it \`require_approval\``,
    }]
  })
}

function isBounded({ policy: { document, obligations } }: Area): boolean {
  const reads = [...leavesOf(document.when), ...leavesOf(document.unless)].some((leaf) => 'attr' in leaf && leaf.attr.startsWith('request.'))
  return reads || obligations.maxReplicas !== null || obligations.maxPercent !== null || document.mode !== 'auto'
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

/** To nothing at all, then to one, where a guard keeps the last. */
const shrinkings: readonly Facts[] = [{ replicas: 0, deltaReplicas: -4, percentOfReady: 100 }, { replicas: 1, deltaReplicas: -3, percentOfReady: 75 }]

function witnessOf(ground: Ground, { policy, sure = [], globs }: Area, wide: readonly string[]): PolicyInput | null {
  const { actions } = ground.space
  const confirms = (input: PolicyInput): boolean => {
    const decision = decisionOn(ground, input)
    const { code, obligations, mode, breaches } = decision
    return code === 'allowed' && mode === 'auto' && breaches.length === 0 && obligations.maxReplicas === null && obligations.maxPercent === null && determines(decision, policy)
  }
  const destroying = new Map([[actions, cellsWhere(actions.samples as string[], (action) => isDestructive(action) && wide.some((pattern) => actionMatches(pattern, action)))]])
  for (const box of sure) {
    const met = meetBoxes(box, destroying)
    if (!met) continue
    for (const glob of globs) {
      for (const request of shrinkings) {
        const found = witnessIn(requestsIn(ground, met, [glob], (action) => (action.endsWith(':scale') ? { request } : {})), confirms)
        if (found) return found
      }
    }
  }
  return null
}
