/** L1 and L2: policies that could be taken out and nothing would be decided otherwise. */
import { canonicalJson } from '../../canonical.ts'
import { strictestMode } from '../../remediation.ts'
import type { PolicyInput } from '../input.ts'
import { mergeObligations } from '../obligations.ts'
import { readRequest } from '../request.ts'
import { ruleOn, scopeOf } from '../ruling.ts'
import type { CompiledPolicy } from '../snapshot.ts'
import { byAction, isEnforced, type Area, type Covering } from './areas.ts'
import { firstCells } from './cells.ts'
import type { Finding } from './finding.ts'
import { decisionOn, determines, requestsIn, spendOn, truthOf, witnessIn, type Ground } from './witness.ts'

/**
 * A deny that is true or unknown wherever the allow is leaves the allow nothing to permit, and, since
 * it denies there, nothing to oblige either.
 */
export function deadAllows(ground: Ground, areas: readonly Area[], { maybe }: Covering): Finding[] {
  const denies = byAction(areas.filter((area) => area.policy.document.effect === 'deny' && isEnforced(area)))
  return areas.filter(({ policy }) => policy.document.effect === 'allow').flatMap((allow) => {
    for (const deny of denies(firstCells(allow.actions, 1)[0]!)) {
      if (!maybe(deny, allow)) continue
      const witness = witnessOf(ground, allow, (input) => truthOf(ground, allow.policy, input) === true && determines(decisionOn(ground, input), deny.policy))
      if (witness) return [deadAllow(allow.policy, deny.policy, witness)]
    }
    return []
  })
}

const deadAllow = ({ document: { id } }: CompiledPolicy, { document: deny }: CompiledPolicy, witness: PolicyInput): Finding => ({
  code: 'L1', severity: 'error', policy: id, others: [deny.id], path: 'document', witness,
  message: `this allow permits nothing: the deny \`${deny.id}\` covers it whole. Take it out, or except it in \`${deny.id}\` with \`unless\``,
})

/**
 * Of policies that cover each other one stays: the first by priority, then id. An approval lapses at the
 * turn of any window in scope, and so may live longer once a redundant policy with windows is gone.
 */
export function redundantPolicies(ground: Ground, areas: readonly Area[], dead: ReadonlySet<string>, { fully }: Covering): Finding[] {
  const alive = areas.filter(({ policy }) => !dead.has(policy.document.id))
  const enforced = byAction(alive.filter(isEnforced))
  const gone = new Set<Area>()
  return alive.toReversed().flatMap((area) => {
    const others = enforced(firstCells(area.actions, 1)[0]!).filter((other) => other !== area && !gone.has(other))
    const found = redundant(ground, area, others, fully)
    if (found) gone.add(area)
    return found ?? []
  })
}

function redundant(ground: Ground, area: Area, others: readonly Area[], fully: Covering['fully']): Finding | undefined {
  const { effect } = area.policy.document
  for (const other of others) {
    if (other.policy.document.effect !== effect || !fully(other, area) || !binds(other.policy, area.policy)) continue
    const witness = witnessOf(ground, area, (input) =>
      truthOf(ground, area.policy, input) === true && truthOf(ground, other.policy, input) === true && isSameWithout(ground, area.policy, input))
    if (witness) return redundancy(area.policy, other.policy, witness)
  }
  return undefined
}

const redundancy = ({ document: { id } }: CompiledPolicy, { document: other }: CompiledPolicy, witness: PolicyInput): Finding => ({
  code: 'L2', severity: 'warning', policy: id, others: [other.id], path: 'document', witness,
  message: `this policy changes no decision: \`${other.id}\` has the same effect, covers it whole and asks for no less. Take one of the two out`,
})

/** Whether `other` asks for all that `policy`, of the same effect, does. */
function binds({ document: other, obligations: its }: CompiledPolicy, { document, obligations }: CompiledPolicy): boolean {
  return document.effect === 'deny' ||
    (strictestMode(other.mode, document.mode) === other.mode && canonicalJson(mergeObligations(its, obligations)) === canonicalJson(mergeObligations(its, its)))
}

function isSameWithout(ground: Ground, policy: CompiledPolicy, given: PolicyInput): boolean {
  const read = readRequest(given)
  if (read.problem !== undefined) return false
  const scope = scopeOf(ground.snapshot, read.input, read.segments)
  spendOn(ground, scope)
  const [all, rest] = [scope, scope.filter((one) => one !== policy)].map((policies) => {
    const { effect, code, obligations, mode } = ruleOn(read.input, policies)
    return canonicalJson({ effect, code, obligations, mode })
  })
  return all === rest
}

function witnessOf(ground: Ground, { sure = [], globs }: Area, confirms: (input: PolicyInput) => boolean): PolicyInput | null {
  for (const box of sure) {
    for (const glob of globs) {
      const found = witnessIn(requestsIn(ground, box, [glob]), confirms)
      if (found) return found
    }
  }
  return null
}
