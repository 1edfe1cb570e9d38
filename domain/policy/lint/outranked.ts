/** L3: an allow that is ranked above a deny it meets. */
import type { PolicyInput } from '../input.ts'
import { byAction, isEnforced, type Area } from './areas.ts'
import { firstCells } from './cells.ts'
import { spend } from './effort.ts'
import { named, type Finding } from './finding.ts'
import { meetBoxes } from './region.ts'
import { mayMeet } from './resources.ts'
import { decisionOn, determines, requestsIn, truthOf, witnessIn, type Ground } from './witness.ts'

/** Denies looked for and named for one allow; it is one misunderstanding, however many there are. */
const mostDenies = 5

/** `skip` holds the allows that permit nothing at all: of those more is said elsewhere. */
export function outrankedDenies(ground: Ground, areas: readonly Area[], skip: ReadonlySet<string>): Finding[] {
  const enforced = areas.filter(isEnforced)
  const denies = byAction(enforced.filter(({ policy }) => policy.document.effect === 'deny'))
  return enforced.filter(({ policy: { document } }) => document.effect === 'allow' && !skip.has(document.id)).flatMap((allow) => {
    const met: string[] = []
    let witness: PolicyInput | null = null
    for (const deny of new Set(firstCells(allow.actions, Infinity).flatMap(denies))) {
      if (deny.policy.document.priority >= allow.policy.document.priority || met.length >= mostDenies) continue
      const shown = overlap(ground, allow, deny)
      if (!shown) continue
      met.push(deny.policy.document.id)
      witness ??= shown
    }
    return witness ? [outranked(allow, met, witness)] : []
  })
}

const outranked = ({ policy: { document } }: Area, denies: string[], witness: PolicyInput): Finding => ({
  code: 'L3', severity: 'warning', policy: document.id, others: denies, path: 'priority', witness,
  message: `priority ${document.priority} is above that of ${named(denies)}, and has no effect: where they meet, the deny wins. To let this through, except it in the deny with \`unless\``,
})

function overlap(ground: Ground, allow: Area, deny: Area): PolicyInput | null {
  const confirms = (input: PolicyInput): boolean =>
    truthOf(ground, allow.policy, input) === true && truthOf(ground, deny.policy, input) === true && determines(decisionOn(ground, input), deny.policy)
  if (!spend(ground.effort, allow.globs.length * deny.globs.length)) return null
  const pairs = allow.globs.flatMap((glob) => deny.globs.map((other) => [glob, other] as const)).filter(([glob, other]) => mayMeet(glob, other))
  if (pairs.length === 0) return null
  for (const a of allow.sure ?? []) {
    for (const b of deny.sure ?? []) {
      const box = spend(ground.effort, 1 + a.size) ? meetBoxes(a, b) : undefined
      if (!box) continue
      for (const pair of pairs) {
        const found = witnessIn(requestsIn(ground, box, pair), confirms)
        if (found) return found
      }
    }
  }
  return null
}
