/** L4: what can never hold, or always does. */
import type { Condition } from '../document.ts'
import type { Area } from './areas.ts'
import type { Finding } from './finding.ts'
import type { Space } from './space.ts'

type Odd = { path: string; never: boolean; what: string }

/** A policy that can never be true is an error; a part that settles nothing is worth a look. */
export function impossibleConditions(space: Space, areas: readonly Area[]): Finding[] {
  return areas.flatMap((area) => {
    const { when, unless } = area.policy.document
    const whenFails = space.region(when, 'true')?.length === 0
    const unlessHolds = space.region(unless, 'false')?.length === 0
    const inUnless = oddParts(space, unless, 'unless', true)
    const excepted: Odd[] = unlessHolds && inUnless.length === 0 ? [{ path: 'unless', never: false, what: 'this never comes out false' }] : []
    const apart = !whenFails && !unlessHolds && area.sure?.length === 0
    return [
      ...oddParts(space, when, 'when', true).map((odd) => finding(area, odd, whenFails)),
      ...[...inUnless, ...excepted].map((odd) => finding(area, odd, unlessHolds)),
      ...(apart ? [finding(area, { path: 'document', never: true, what: '`when`, `unless` and `validity` leave nothing between them' }, true)] : []),
    ]
  })
}

function finding({ policy: { document: { id, effect } } }: Area, { path, never, what }: Odd, neverTrue: boolean): Finding {
  const so = neverTrue ? `${what}, so this ${wordOf[effect]} is never true${consequence[effect]}` : `${what}: ${never ? 'it adds nothing' : 'it asks for nothing'}`
  return { code: 'L4', severity: neverTrue ? 'error' : 'warning', policy: id, others: [], path, message: `${so}. Mend it or take it out`, witness: null }
}

const wordOf = { allow: 'allow', deny: 'deny', require_approval: 'approval policy' } as const
const consequence = { allow: '', deny: ', and denies at most what it cannot read', require_approval: ', and asks at most about what it cannot read' } as const

/** The smallest parts that never or always hold. `isRoot` spares what stands there when nothing was written. */
function oddParts(space: Space, condition: Condition, path: string, isRoot: boolean): Odd[] {
  const empty = isEmpty(condition)
  const leftOut = isRoot && ((path === 'when' && empty === 'all') || (path === 'unless' && empty === 'any'))
  if (leftOut) return []
  if (empty) return [{ path, never: empty === 'any', what: empty === 'any' ? 'an empty `any` never holds' : 'an empty `all` always holds' }]
  const inside = partsOf(condition, path).flatMap(([part, at]) => oddParts(space, part, at, false))
  if (inside.length > 0) return inside
  if (space.region(condition, 'true')?.length === 0) return [{ path, never: true, what: 'this can never hold' }]
  if (space.region(condition, 'not true')?.length === 0) return [{ path, never: false, what: 'this always holds' }]
  return []
}

function isEmpty(condition: Condition): 'all' | 'any' | undefined {
  if ('all' in condition && condition.all.length === 0) return 'all'
  return 'any' in condition && condition.any.length === 0 ? 'any' : undefined
}

function partsOf(condition: Condition, path: string): [Condition, string][] {
  if ('not' in condition) return [[condition.not, `${path}.not`]]
  if ('all' in condition) return condition.all.map((part, at) => [part, `${path}.all[${at}]`])
  return 'any' in condition ? condition.any.map((part, at) => [part, `${path}.any[${at}]`]) : []
}
