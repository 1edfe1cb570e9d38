import type { Guard } from './guards.ts'

/** Those at the door of the API, and at the door out of it. */
export const webGuards: readonly Guard[] = [
  {
    guard: 'only named origins are asked',
    file: 'adapters/outgoing/fetch.ts',
    line: `if (!url || !isSafeScheme(url) || !named.has(url.origin)) throw refused(`,
    without: `if (!url) throw refused(`,
    test: { file: 'integration/oidc', name: 'keys elsewhere is not asked, and the login is refused' },
  },
  {
    guard: 'security headers come before any refusal',
    file: 'api/app.ts',
    line: `  app.use(withSecurityHeaders)
  app.use(track(deps))
  app.use(requireHost)
  app.use(limitAddress(deps.httpLimits))
`,
    without: `  app.use(track(deps))
  app.use(requireHost)
  app.use(limitAddress(deps.httpLimits))
  app.use(withSecurityHeaders)
`,
    test: { file: 'integration/headers', name: 'too many calls: 429, of somebody known and of nobody' },
  },
  {
    guard: 'no NUL in a query',
    file: 'api/pipeline.ts',
    line: `parse(route.query, storable(req.query))`,
    without: `parse(route.query, req.query)`,
    test: { file: 'integration/attacks-sql', name: 'GET /audit/logs.stream' },
  },
  {
    guard: 'a word of a cursor has its form',
    file: 'adapters/postgres/pages.ts',
    line: ` && wordForms[word].test(place[at])`,
    without: ``,
    test: { file: 'integration/attacks-sql', name: 'GET /api/v1/users.cursor' },
  },
  {
    guard: 'slow requests are looked at every second',
    file: 'api/http-server.ts',
    line: `  connectionsCheckingInterval: 1_000,
`,
    without: ``,
    test: { file: 'integration/attacks-bodies', name: 'headers or a body, bit by bit, is told so and cut off when it is due' },
  },
]
