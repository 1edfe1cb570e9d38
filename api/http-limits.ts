import type { Request, RequestHandler } from 'express'
import { slidingLog, type RateLimit, type SlidingLog } from '../domain/sliding-log.ts'
import { networkOf } from './client.ts'
import { HttpProblem } from './problems.ts'

/** Calls that one principal may make in all and of one route, and calls without a known principal from one network address. */
export type HttpLimitRules = { principal: RateLimit; route: RateLimit; address: RateLimit }

/** What this process has counted. Each API process counts for itself. */
export type HttpLimits = { rules: HttpLimitRules; byPrincipal: SlidingLog; byRoute: SlidingLog; byAddress: SlidingLog; nowMs: () => number }

export const httpLimits = (rules: HttpLimitRules, nowMs: () => number = () => performance.now()): HttpLimits => ({
  rules,
  byPrincipal: slidingLog(rules.principal),
  byRoute: slidingLog(rules.route),
  byAddress: slidingLog(rules.address),
  nowMs,
})

/** Probes and scrapers come often, and have to be answered above all when much else comes. */
const exempt: readonly string[] = ['/api/v1/health', '/api/v1/health/ping', '/health', '/metrics']
export const isExempt = (path: string): boolean => exempt.includes(path)

/** Who is known takes from their own room, before anything is read or done for them. */
export function limitPrincipal({ rules, byPrincipal, byRoute, nowMs }: HttpLimits, principal: string, route: string): void {
  const now = nowMs()
  const ofRoute = byRoute.take(`${principal} ${route}`, now)
  if (ofRoute > 0) throw limited(`\`${principal}\` has made ${figures(rules.route)} of \`${route}\``, ofRoute)
  const ofAll = byPrincipal.take(principal, now)
  if (ofAll > 0) throw limited(`\`${principal}\` has made ${figures(rules.principal)}`, ofAll)
}

/** An address from which too many calls came that nobody could be named for is refused before its credential is looked up. */
export const limitAddress = ({ rules, byAddress, nowMs }: HttpLimits): RequestHandler => (req, _res, next) => {
  const waitMs = isExempt(req.path) ? 0 : byAddress.waitMs(addressOf(req), nowMs())
  if (waitMs === 0) return next()
  throw limited(`this network address has made ${figures(rules.address)} without a valid credential`, waitMs)
}

/** A call that ended without a known principal. */
export const countStranger = ({ byAddress, nowMs }: HttpLimits, req: Request): void => void (isExempt(req.path) || byAddress.take(addressOf(req), nowMs()))

const figures = ({ limit, windowMs }: RateLimit): string => `${limit} calls within ${windowMs / 1000} s, which is the limit,`

function limited(what: string, waitMs: number): HttpProblem {
  const seconds = Math.ceil(waitMs / 1000)
  return new HttpProblem({
    status: 429,
    code: 'rate_limited',
    detail: `${what} of this API process`,
    nextStep: `wait ${seconds} s (\`Retry-After\`) and send it again; an operator can raise AEGIS_HTTP_LIMITS`,
    headers: { 'Retry-After': `${seconds}` },
  })
}

const addressOf = ({ ip = 'unknown' }: Request): string => networkOf(ip)
