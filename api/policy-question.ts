import type { Knex } from 'knex'
import { savePolicyAudit, type PolicyAuditDraft } from '../adapters/postgres/policy-audit.ts'
import { freshId } from '../adapters/signing.ts'
import { Failure } from '../domain/failure.ts'
import { everywhere, principalAt, type Area } from '../domain/identity.ts'
import { decideBy } from '../domain/policy/decide.ts'
import type { Decision } from '../domain/policy/decision.ts'
import type { PolicyInput } from '../domain/policy/input.ts'
import { capByMode } from '../domain/policy/mode.ts'
import { completeResource, parseResource } from '../domain/policy/names.ts'
import { canonical } from '../domain/policy/request.ts'
import type { Principal } from '../domain/remediation.ts'
import { grouped, type Grouped } from './grouped.ts'
import type { ApiDeps } from './route.ts'

/** A decision and what it comes to: only `allowed` is a yes. `code` and `message` say why, bounds and modes included. */
export type Asked = { logId: string; decision: Decision; allowed: boolean; code: string; message: string }

/** What a resource is about; everything, where it names no one namespace. */
export function areaOf({ resource, context }: Pick<PolicyInput, 'resource' | 'context'>): Area {
  const parsed = parseResource(completeResource(resource, context), false)
  const [scheme, cluster, namespace] = parsed?.segments ?? []
  return scheme !== 'k8s' || cluster === undefined || namespace === undefined ? everywhere : { cluster, namespace }
}

/**
 * Answers a question put to the policies directly. It is on record, by whom and with all its facts, before anybody
 * hears the answer. The policies' own modes cap it; those of the settings and the ladder are about remediations.
 */
export async function asked({ policies, auditPolicy }: Pick<ApiDeps, 'policies' | 'auditPolicy'>, by: Principal, question: PolicyInput): Promise<Asked> {
  const current = policies()
  // Whoever asks for itself asks with the roles it would have there.
  const input = question.principal === by ? { ...question, principal: principalAt(by, areaOf(question)) } : question
  const decision = decideBy(current, input)
  const { proceed, code, message: reason } = capByMode(decision, 'auto')
  const allowed = proceed === 'act'
  const logId = freshId()
  const { action, resource, type } = input
  await auditPolicy({
    logId,
    userId: by.id,
    owner: by.owner,
    action,
    resource,
    type,
    result: decision.effect,
    allowed,
    code,
    reason,
    snapshot: current.snapshot.hash,
    input: canonical(input) ?? JSON.stringify(null),
  })
  return { logId, decision, allowed, code, message: reason }
}

const mostInGroup = 200
const mostWaiting = 5_000

/** One at a time: what gathers meanwhile is one commit. */
export const policyAudit = (db: Knex): Grouped<PolicyAuditDraft> =>
  grouped(async (drafts: PolicyAuditDraft[]) => savePolicyAudit(db, drafts).then(() => drafts.map(() => undefined)), {
    mostInGroup,
    mostRunning: 1,
    mostWaiting,
    full: () => new Failure('limited', 'audit_busy', `${mostWaiting} answers wait to be put on record: ask again in a moment`),
  })
