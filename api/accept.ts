import type { Knex } from 'knex'
import { z } from 'zod'
import { acceptRequest, type Accepted, type RequestDraft } from '../adapters/postgres/requests.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import { canonicalJson } from '../domain/canonical.ts'
import { Failure } from '../domain/failure.ts'
import { namespaceAllowed, protectedNamespaces } from '../domain/namespaces.ts'
import type { ActionName, ActionParameters, Door, Principal, Severity, Target } from '../domain/remediation.ts'
import { outsideBounds } from '../domain/request-signature/bounds.ts'
import type { SignedCaller } from './callers.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import type { ApiDeps, ApiSettings } from './route.ts'
import { boundsProblem, signatureProblem } from './signature-problems.ts'

export const acceptedReply = z.strictObject({
  id: z.uuid(),
  url: z.string(),
  /** `known`: this very request was accepted before. */
  accepted: z.enum(['new', 'known']),
})
export type AcceptedReply = z.infer<typeof acceptedReply>

export type Asked = {
  door: Extract<Door, 'api' | 'executor'>
  action: ActionName
  target: Omit<Target, 'cluster'> & { cluster?: string | undefined }
  parameters: ActionParameters
  reason: string
  severity: Severity
  /** Where the caller wrote the cluster and the namespace, for problem documents. */
  fields: { cluster: string; namespace: string }
}
type Caller = { deps: ApiDeps; principal: Principal; caller: SignedCaller | null; idempotencyKey: string | null }

export const remediationUrl = (id: string): string => `/api/v1/remediations/${id}`

/** Commits the request and answers; a relay in the decision worker starts what was committed. */
export async function accept({ deps, principal, caller, idempotencyKey }: Caller, asked: Asked): Promise<AcceptedReply> {
  const { settings, db, metrics } = deps
  const { door, action, parameters, reason, severity, fields } = asked
  const target = { ...asked.target, cluster: asked.target.cluster ?? defaultCluster(settings) }
  const refusal = outsideReason(settings, target)
  if (refusal) throw outsideProblem(refusal, fields)
  const outside = caller && outsideBounds(caller.bounds, { action, target, parameters })
  if (outside) throw boundsProblem(outside)
  const said = { door, action, target, parameters, reason, severity }
  const draft: RequestDraft = {
    ...said,
    id: freshId(),
    principal,
    fault: null,
    incident: null,
    deadlineMs: settings.deadlineMs,
    idempotency: idempotencyKey === null ? null : { key: idempotencyKey, bodyDigest: sha256Hex(canonicalJson(said)) },
    signature: caller?.signature,
  }
  const { accepted, request } = await acceptOnce(db, draft)
  metrics.accepted.inc({ door, result: accepted })
  return { id: request.id, url: remediationUrl(request.id), accepted }
}

/** A database that was silent for longer is not asked again: callers give up at 15 s. */
const askAgainWithinMs = 5_000

/**
 * A reply may be lost after its commit, and whoever asked without an `Idempotency-Key` could only ask for a second
 * remediation. So a database that broke off is asked once more, under the same id: what is stored already is found.
 */
async function acceptOnce(db: Knex, draft: RequestDraft): Promise<Accepted> {
  const begunMs = performance.now()
  const { request } = await acceptRequest(db, draft).catch((failure: unknown) => {
    const brokeOff = failure instanceof Failure && failure.kind === 'unavailable' && performance.now() - begunMs < askAgainWithinMs
    if (brokeOff) return acceptRequest(db, draft)
    // By the database's clock, when the request was to be stored: its body may have come slowly.
    if (failure instanceof Failure && failure.code === 'signature_expired') throw signatureProblem('signature_expired')
    throw failure
  })
  // The id is this call's own, so a request that bears it was not there before.
  return { accepted: request.id === draft.id ? 'new' : 'known', request }
}

export const defaultCluster = ({ clusters }: ApiSettings): string => clusters[0] ?? 'local'

export type Outside = { code: 'unknown_cluster' | 'namespace_not_allowed'; message: string }

/** Why this target may not be asked for here, whoever asks. The execution worker checks again by its own list. */
export function outsideReason(settings: ApiSettings, { cluster, namespace }: Pick<Target, 'cluster' | 'namespace'>): Outside | undefined {
  const { clusters, namespaces, mode } = settings
  if (!clusters.includes(cluster)) {
    return { code: 'unknown_cluster', message: `\`${cluster}\` is not a cluster of this Aegis: use ${clusters.map((name) => `\`${name}\``).join(', ')}` }
  }
  if (namespaceAllowed(namespaces, { cluster, namespace })) return undefined
  // An empty list forbids acting, not looking.
  const looksOnly = namespaces.length === 0 && (mode === 'observe' || mode === 'suggest')
  if (looksOnly && !protectedNamespaces.includes(namespace)) return undefined
  return { code: 'namespace_not_allowed', message: `\`${namespace}\` is not among the namespaces Aegis may act in` }
}

function outsideProblem({ code, message }: Outside, fields: Asked['fields']): HttpProblem {
  if (code === 'unknown_cluster') return fieldProblem(code, [{ field: fields.cluster, message }])
  return new HttpProblem({
    status: 403,
    code,
    detail: `\`${fields.namespace}\`: ${message}`,
    errors: [{ field: fields.namespace, message }],
    nextStep: 'an operator can add the namespace to AEGIS_NAMESPACES; protected namespaces are never acted on',
  })
}
