/** What happens to every call before and after its handler, in this order, for every route alike. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import type { z } from 'zod'
import { plainLines } from '../adapters/log.ts'
import { appendEntry } from '../adapters/postgres/ledger.ts'
import type { Principal } from '../domain/remediation.ts'
import { nonceDigest } from '../adapters/postgres/nonces.ts'
import { claimedKeyId } from '../domain/request-signature/signature.ts'
import { authenticate, type Authenticated } from './authentication.ts'
import { authorize, isFresh, notPermitted, refuseUnlessGlobal, stepUpRequired } from './authorization.ts'
import { parseJsonBody, readJsonBody } from './body.ts'
import { received, showsSignature, signedCaller, type SignedCaller } from './callers.ts'
import { clientFacts } from './client.ts'
import { fieldErrors } from './fields.ts'
import { countStranger, limitPrincipal } from './http-limits.ts'
import { allowsAnywhere, areasOf } from './permissions.ts'
import { fieldProblem, HttpProblem, problemDocument, problemOf } from './problems.ts'
import { fieldPath } from './scan.ts'
import { doorPaths, ndjson, type ApiDeps, type Route } from './route.ts'

const requestIdForm = /^[A-Za-z0-9._-]{1,64}$/
const idempotencyKeyForm = /^[\x21-\x7e]{1,255}$/

/** Kept beside the response while a call runs. */
type Locals = { requestId: string; route?: Route; principal?: Principal; caller?: SignedCaller }
const locals = (res: Response) => res.locals as Locals

/** Takes over the caller's X-Request-Id where it is harmless, and measures the call. */
export const track = ({ log: whole, metrics }: ApiDeps): RequestHandler => {
  const log = plainLines(whole)
  return (req, res, next) => {
    const given = req.get('x-request-id') ?? ''
    const requestId = requestIdForm.test(given) ? given : randomUUID()
    locals(res).requestId = requestId
    res.set('X-Request-Id', requestId)
    const begun = process.hrtime.bigint()
    res.once('close', () => {
      const seconds = Number(process.hrtime.bigint() - begun) / 1e9
      const { route, principal } = locals(res)
      const line = { requestId, method: req.method, route: route?.path ?? 'none', status: res.statusCode, ms: Math.round(seconds * 1000), principal: principal?.id }
      metrics.durationSeconds.observe({ method: req.method, route: line.route, status: line.status }, seconds)
      if (route?.permission === 'public') log.debug(line, 'answered')
      else log.info(line, 'answered')
    })
    next()
  }
}

export const serve = (route: Route, deps: ApiDeps) => async (req: Request, res: Response): Promise<void> => {
  locals(res).route = route
  const signed = route.permission === 'public' ? null : await signedCaller(route, deps, req)
  if (signed) locals(res).caller = signed
  const admitted = await admit(route, deps, req, res)
  if (admitted) limitPrincipal(deps.httpLimits, admitted.principal.id, `${req.method} ${route.path}`)
  const params = parse(route.params, storable(req.params))
  const query = route.permission === 'public' && !isDoor(route) ? {} : parse(route.query, storable(req.query))
  const idempotencyKey = route.idempotent ? readIdempotencyKey(req) : null
  const apart = route.apart ?? undefined
  const body = route.body ? parse(route.body, signed ? parseJsonBody(req, signed.body, apart) : await readJsonBody(req, route.bodyLimitBytes, apart)) : undefined
  const { requestId } = locals(res)
  const principal = admitted && (await authorize(route, admitted.principal, { params, query, body }, deps))
  const areas = admitted && route.permission !== 'public' ? areasOf(admitted.principal, route.permission) : null
  const session = admitted?.session ?? null
  const reply = await route.handle({ deps, params, query, body, requestId, principal, areas, session, client: clientFacts(req), caller: signed, idempotencyKey })
  if (route.produces === ndjson) return sendLines(reply.body as AsyncIterable<unknown>, deps, req, res)
  res.status(reply.status).type(route.produces).set(reply.headers ?? {})
  res.send(route.produces === 'application/json' ? JSON.stringify(reply.body) : reply.body)
}

const isDoor = ({ path }: Route): boolean => (doorPaths as readonly string[]).includes(path)

/** Once a line is out the status cannot change: what goes wrong then is the last line, as a problem document. */
async function sendLines(lines: AsyncIterable<unknown>, deps: ApiDeps, req: Request, res: Response): Promise<void> {
  const { requestId } = locals(res)
  res.status(200).type(ndjson)
  try {
    for await (const line of lines) {
      if (res.destroyed) return
      if (!res.write(`${JSON.stringify(line)}\n`)) await Promise.race([once(res, 'drain'), once(res, 'close')])
    }
  } catch (thrown) {
    if (!res.headersSent) throw thrown
    deps.log.error({ err: thrown, requestId, route: locals(res).route?.path }, 'a call failed on its way')
    res.write(`${JSON.stringify({ problem: problemDocument(problemOf(thrown), req.path, requestId) })}\n`)
  }
  res.end()
}

/** Who calls, before anything of the call is read: somebody who may call this route in no place is not heard. */
async function admit(route: Route, deps: ApiDeps, req: Request, res: Response): Promise<Authenticated | null> {
  const { permission, stepUp } = route
  if (permission === 'public') return null
  const signer = locals(res).caller?.principal
  const caller = signer ? { principal: signer, session: null } : await authenticate(deps, req.get('authorization'), (known) => (locals(res).principal = known))
  locals(res).principal = caller.principal
  if (!allowsAnywhere(caller.principal, permission)) throw notPermitted(permission)
  refuseUnlessGlobal(route, caller.principal)
  if (stepUp && !isFresh(caller.session)) throw stepUpRequired()
  return caller
}

/** A route that declares none of a part takes none of it. */
function parse(schema: z.ZodType | null, value: unknown): unknown {
  if (!schema) return noneOf(value)
  const { success, data, error } = schema.safeParse(value)
  if (!success) throw fieldProblem('bad_request', fieldErrors(error.issues, value))
  return data
}

/** As in bodies (`scanJson`): PostgreSQL stores no NUL, nor does it look for one. */
function storable(texts: Record<string, unknown>): Record<string, unknown> {
  const bad = Object.entries(texts).filter(([name, value]) => `${name}${String(value)}`.includes('\u0000'))
  if (bad.length > 0) throw fieldProblem('bad_text', bad.slice(0, 20).map(([name]) => ({ field: fieldPath([name]), message: 'holds a NUL: remove it' })))
  return texts
}

function noneOf(value: unknown): Record<string, never> {
  const keys = Object.keys(value as object)
  if (keys.length > 0) throw fieldProblem('bad_request', keys.slice(0, 20).map((field) => ({ field, message: 'unknown field: remove it' })))
  return {}
}

function readIdempotencyKey(req: Request): string | null {
  const key = req.get('idempotency-key')
  if (key === undefined) return null
  if (idempotencyKeyForm.test(key)) return key
  throw fieldProblem('bad_request', [{ field: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters, such as a UUID' }])
}

/** Mounted last: whatever was thrown leaves as a problem document. */
export const answerProblem = (deps: ApiDeps): ErrorRequestHandler => async (thrown: unknown, req, res, _next) => {
  const { requestId, route } = locals(res)
  const parts = problemOf(thrown)
  if (!locals(res).principal) countStranger(deps.httpLimits, req)
  deps.metrics.refused.inc({ code: route ? parts.code : 'no_route' })
  if (parts.status >= 500) deps.log.error({ err: thrown, requestId, route: route?.path }, 'a call failed')
  await recordRefusal(deps, req, res, parts)
  if (res.headersSent || res.destroyed) return void res.destroy()
  const document = problemDocument(parts, req.path, requestId)
  res.status(parts.status).set(parts.headers).type('application/problem+json').send(JSON.stringify(document))
}

const refusedInput = [400, 401, 403, 413, 415]

/**
 * One audit line for a call that was refused for what it said or for who said it, where we know who. A credential that
 * is no longer good leaves one line a minute: whoever holds it asks again and again.
 * Names of fields only: their values may be anything. Nothing was done, so a ledger that is away
 * does not turn the refusal into another answer.
 */
async function recordRefusal(deps: ApiDeps, req: Request, res: Response, parts: HttpProblem['parts']): Promise<void> {
  const { principal, caller, route, requestId } = locals(res)
  if (!principal && claimsSignature(req, route)) return recordRefusedSignature(deps, req, res, parts.code)
  const reads = req.method === 'GET' && parts.status !== 403 && parts.status !== 401
  // Every use of a caller's key is on record, whatever came of it.
  const told = caller ? parts.status < 500 : refusedInput.includes(parts.status)
  if (!principal || !route || parts.recorded || reads || !told) return
  if (parts.status === 401 && !caller && !deps.accounts.isFirstThisMinute(`${principal.id} ${parts.code}`)) return
  const { id, kind, owner } = principal
  const { status, code, errors } = parts
  const body = { method: req.method, route: route.path, status, code, fields: errors.map(({ field }) => field), requestId, ...(caller ? { signature: { keyId: caller.signature.keyId, nonceDigest: nonceDigest(caller.signature.nonce) } } : {}) }
  const stream = `refused/${new Date().toISOString().slice(0, 10)}`
  try {
    await appendEntry(deps.db, { stream, stepKey: randomUUID(), kind: 'request_refused', actor: { id, kind, owner }, body })
  } catch (failure) {
    deps.log.error({ err: failure, requestId }, 'a refusal could not be recorded')
  }
}

/** A signature is shown, or due: on a route that takes one, whoever shows no credential at all shows none. */
const claimsSignature = (req: Request, route: Route | undefined): boolean =>
  showsSignature(req) || (route?.signed === true && req.get('authorization') === undefined)

async function recordRefusedSignature({ callers, log }: ApiDeps, req: Request, res: Response, code: string): Promise<void> {
  const { route, requestId } = locals(res)
  try {
    await callers.refusals.record({ code, method: req.method, route: route?.path ?? 'none', requestId, claimedKeyId: claimedKeyId(received(req)) })
  } catch (failure) {
    log.error({ err: failure, requestId }, 'a refused signature could not be recorded')
  }
}
