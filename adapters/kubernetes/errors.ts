import { Failure, type FailureKind } from '../../domain/failure.ts'
import type { Answer } from './connection.ts'

/**
 * What the API server's refusals mean. Only `reason`, `details` and names within known sentences are
 * ever taken from an answer: its message can hold a whole object, environment included.
 */

type Status = { reason?: unknown; message?: unknown; details?: { causes?: { reason?: unknown; field?: unknown }[] | null } | null }

/** Nobody answered, or nobody in time. Whether a change landed is not known. */
export function unavailable(cluster: string, cause: unknown): Failure {
  const why = isTimeout(cause) ? 'did not answer in time' : `cannot be reached${codeOf(cause)}`
  return new Failure('unavailable', 'cluster_unreachable', `cluster \`${cluster}\` ${why}`)
}

type Thrown = { name?: unknown; code?: unknown; cause?: Thrown | null } | null | undefined

const isTimeout = (thrown: unknown): boolean => ['TimeoutError', 'AbortError'].includes(String((thrown as Thrown)?.name))

/** `ECONNREFUSED` and its like sit in the cause of "fetch failed". */
function codeOf(thrown: unknown): string {
  const { code } = (thrown as Thrown)?.cause ?? (thrown as Thrown) ?? {}
  return typeof code === 'string' && /^[A-Z_]{3,60}$/.test(code) ? ` (${code})` : ''
}

/** What a call that failed was for, as an operator would say it: `list pods in \`shop\``. */
export function failureOf(cluster: string, what: string, answer: Answer): Failure {
  const { status } = answer
  const reason = reasonOf(answer)
  const because = reason ? `${status} ${reason}` : String(status)
  const [kind, hint] = kindOf(status)
  return new Failure(kind, codeNames[kind], `cluster \`${cluster}\` refused to ${what} (${because})${hint}`)
}

const codeNames: Record<FailureKind, string> = {
  invalid: 'cluster_refused',
  forbidden: 'cluster_forbidden',
  missing: 'not_found',
  conflict: 'cluster_conflict',
  limited: 'cluster_throttled',
  unavailable: 'cluster_unavailable',
}

function kindOf(status: number): [FailureKind, string] {
  if (status === 403) return ['forbidden', ': check the RBAC of this identity']
  if (status === 401) return ['unavailable', ': check the credentials of this identity']
  if (status === 404) return ['missing', '']
  if (status === 409) return ['conflict', '']
  // 429 is the server's own throttling here; a spent disruption budget is handled where evictions are.
  if (status === 429 || status >= 500 || status < 300) return ['unavailable', '']
  return ['invalid', '']
}

const statusOf = ({ body }: Answer): Status => (typeof body === 'object' && body !== null ? body : {})

/** One word such as `Conflict`; never free text. */
export function reasonOf(answer: Answer): string | null {
  const { reason } = statusOf(answer)
  return typeof reason === 'string' && /^[A-Za-z]{1,40}$/.test(reason) ? reason : null
}

const causesOf = (answer: Answer) => statusOf(answer).details?.causes ?? []

export const hasCause = (answer: Answer, reason: string): boolean => causesOf(answer).some((cause) => cause.reason === reason)

/** Fields the server objected to, by path alone: their values may be secret. */
export const causeFields = (answer: Answer): string[] =>
  causesOf(answer)
    .map(({ field }) => field)
    .filter((field): field is string => typeof field === 'string' && /^[\w.[\]"/-]{1,200}$/.test(field))

const policyDenied = /ValidatingAdmissionPolicy '([\w.-]{1,253})'/
const webhookDenied = /admission webhook "([\w.-]{1,253})" denied/

/** The admission policy or webhook that said no, by name. */
export function deniedBy(answer: Answer): string | null {
  const { message } = statusOf(answer)
  if (typeof message !== 'string') return null
  return policyDenied.exec(message)?.[1] ?? webhookDenied.exec(message)?.[1] ?? null
}

/** A pod matched by two budgets can never be evicted; the API says so as an internal error. */
export const isBudgetAmbiguous = (answer: Answer): boolean => {
  const { message } = statusOf(answer)
  return answer.status === 500 && typeof message === 'string' && message.includes('more than one PodDisruptionBudget')
}
