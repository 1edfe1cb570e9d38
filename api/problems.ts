import { z } from 'zod'
import { Failure, type FailureKind } from '../domain/failure.ts'

export const fieldErrorSchema = z.strictObject({ field: z.string(), message: z.string() })
export type FieldError = z.infer<typeof fieldErrorSchema>

/** RFC 9457, with a stable code for programs and the next step for people. */
export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  code: z.string(),
  requestId: z.string(),
  errors: z.array(fieldErrorSchema),
  nextStep: z.string(),
})
export type Problem = z.infer<typeof problemSchema>

type ProblemParts = {
  status: number
  code: string
  detail: string
  nextStep: string
  errors?: FieldError[]
  headers?: Record<string, string>
  /** The refusal is in the ledger already, so that no second line is written for it. */
  recorded?: boolean
}

/** A call we refuse, thrown from anywhere behind a route and answered as a problem document. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem'
  readonly parts: Required<ProblemParts>
  constructor(parts: ProblemParts) {
    super(parts.detail)
    this.parts = { errors: [], headers: {}, recorded: false, ...parts }
  }
}

const titles: Record<number, string> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Too slow',
  409: 'Conflict',
  410: 'Gone',
  413: 'Body too large',
  415: 'Unsupported body',
  429: 'Limited',
  431: 'Headers too large',
  500: 'Internal error',
  503: 'Unavailable',
}

const statusOf: Record<FailureKind, number> = {
  invalid: 400,
  forbidden: 403,
  missing: 404,
  conflict: 409,
  limited: 429,
  unavailable: 503,
}

const nextSteps: Record<FailureKind, string> = {
  invalid: 'correct the request and send it again',
  forbidden: 'ask an admin for the permission',
  missing: 'check the id; `GET /api/v1/remediations` lists what there is',
  conflict: 'read the current state and decide anew',
  limited: 'wait and send it again',
  // Where the reply to a commit was lost, what was asked for is stored.
  unavailable: 'if this was to change something, it may have: look first, or send it again with the same `Idempotency-Key`',
}

const retryAfterSeconds = '5'

/** Everything that can be thrown behind a route, as the parts of its answer. Details of a bug stay in the log. */
export function problemOf(thrown: unknown): Required<ProblemParts> {
  if (thrown instanceof HttpProblem) return thrown.parts
  if (thrown instanceof Failure) return failureProblem(thrown)
  if (thrown instanceof URIError) return fieldProblem('bad_path', [{ field: 'path', message: 'is not valid percent-encoding' }]).parts
  return new HttpProblem({
    status: 500,
    code: 'internal',
    detail: 'Aegis failed in a way it does not expect',
    nextStep: 'read the state before trying again; the log has the cause under this request id',
  }).parts
}

function failureProblem({ kind, code, message }: Failure): Required<ProblemParts> {
  const waits = kind === 'unavailable' || kind === 'limited'
  // What a dependency says when it is away is for the log: it may name hosts and users.
  const detail = kind === 'unavailable' ? 'something Aegis depends on does not answer' : message
  const headers = waits ? { 'Retry-After': retryAfterSeconds } : {}
  return new HttpProblem({ status: statusOf[kind], code, detail, nextStep: nextSteps[kind], headers }).parts
}

/** A body, query or path that makes no sense: names every field that is wrong. */
export function fieldProblem(code: string, errors: FieldError[], status = 400): HttpProblem {
  const [first] = errors
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  const detail = first ? `${first.field === '' ? 'the body' : `\`${first.field}\``}: ${first.message}${more}` : 'the request makes no sense'
  const nextStep = 'correct the fields named in `errors` and send it again; `GET /openapi.json` describes every field'
  return new HttpProblem({ status, code, detail, errors, nextStep })
}

export function problemDocument(parts: Required<ProblemParts>, instance: string, requestId: string): Problem {
  const { status, code, detail, errors, nextStep } = parts
  const title = titles[status] ?? 'Error'
  return { type: `urn:aegis:problem:${code}`, title, status, detail, instance, code, requestId, errors, nextStep }
}
