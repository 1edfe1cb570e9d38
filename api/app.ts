import express, { type Express, type RequestHandler } from 'express'
import { limitAddress } from './http-limits.ts'
import { answerProblem, serve, track } from './pipeline.ts'
import { HttpProblem } from './problems.ts'
import type { ApiDeps, Route } from './route.ts'
import { routes } from './routes.ts'
import { withSecurityHeaders } from './security-headers.ts'

/** The whole API over its dependencies. It keeps nothing between calls, so any number may run side by side. */
export function createApp(deps: ApiDeps): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('trust proxy', deps.accounts.settings.trustedProxies)
  app.set('query parser', 'simple')
  app.enable('case sensitive routing')
  app.enable('strict routing')
  app.use(withSecurityHeaders)
  app.use(track(deps))
  app.use(requireHost)
  app.use(limitAddress(deps.httpLimits))
  const served = routes.map((route) => ({ route, handler: serve(route, deps) }))
  app.use(atOnce(served))
  for (const { route, handler } of served) app[route.method](route.path, handler)
  for (const [path, own] of byPath(routes)) app.all(path, otherMethod(own))
  app.use(nothingHere)
  app.use(answerProblem(deps))
  return app
}

type Served = { route: Route; handler: (...call: Parameters<RequestHandler>) => Promise<void> }

/** A path that names nothing of its own is found by its text; Express tries one pattern after the other. */
function atOnce(served: readonly Served[]): RequestHandler {
  const plain = served.filter(({ route: { path } }) => !path.includes(':'))
  const handlers = new Map(plain.map(({ route: { method, path }, handler }) => [`${method.toUpperCase()} ${path}`, handler]))
  return (req, res, next) => {
    const handler = handlers.get(`${req.method} ${req.path}`)
    if (handler) void handler(req, res, next).catch(next)
    else next()
  }
}

const requireHost: RequestHandler = (req, _res, next) => {
  if (req.headers.host !== undefined) return next()
  throw new HttpProblem({ status: 400, code: 'no_host', detail: 'the request names no host', nextStep: 'send a `Host` header' })
}

const byPath = (all: readonly Route[]): Map<string, Route[]> => {
  const grouped = new Map<string, Route[]>()
  for (const route of all) grouped.set(route.path, [...(grouped.get(route.path) ?? []), route])
  return grouped
}

const otherMethod = (own: readonly Route[]) => (): never => {
  const methods = own.map(({ method }) => method.toUpperCase()).join(', ')
  throw new HttpProblem({
    status: 405,
    code: 'method_not_allowed',
    detail: 'this path does not take that method',
    nextStep: `use ${methods}`,
    headers: { Allow: methods },
  })
}

const nothingHere = (): never => {
  throw new HttpProblem({ status: 404, code: 'no_route', detail: 'there is nothing at this path', nextStep: '`GET /openapi.json` lists every path' })
}
