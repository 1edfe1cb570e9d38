import { lineAt, projectFiles } from './files.ts'
import type { Check, Finding } from './finding.ts'

const sources = ['.ts', '.tsx', '.mts', '.mjs', '.cjs']
const productRooms = ['domain', 'workflows', 'activities', 'adapters', 'temporal', 'workers', 'api', 'migrations', 'cli', 'web', 'deploy']

type Way = { what: string; find: RegExp; places: readonly string[] }

const guard = 'adapters/outgoing/fetch.ts'

/** Every way out of a process that we know, and the places that may take it. */
const ways: readonly Way[] = [
  // The CLI asks the Aegis its user named; the image asks itself whether it is well.
  { what: '`fetch`', find: /(?<![\w.])fetch\s*\(|globalThis\s*\.\s*fetch/g, places: ['cli/connection.ts', 'deploy/image/health.mjs', guard] },
  { what: 'a request of `node:http`', find: /import\s*(?!type\b)\{[^}]*\b(?:request|get|Agent)\b[^}]*\}\s*from\s*['"](?:node:)?https?['"]|\bhttps?\s*\.\s*(?:request|get)\s*\(/g, places: [guard] },
  { what: 'a client of HTTP', find: /from\s*['"](?:undici|axios|got|node-fetch|ky|superagent|request|needle)(?:\/[^'"]*)?['"]|import\(\s*['"](?:undici|axios|got|node-fetch)['"]/g, places: [] },
  { what: 'a socket', find: /from\s*['"](?:node:)?(?:tls|http2|dgram)['"]|import\s*(?!type\b)\{[^}]*\b(?:connect|createConnection|Socket)\b[^}]*\}\s*from\s*['"](?:node:)?net['"]|\bnew\s+(?:WebSocket|EventSource|XMLHttpRequest)\b/g, places: [] },
  { what: 'a look-up of a name', find: /from\s*['"](?:node:)?dns(?:\/promises)?['"]/g, places: [guard] },
  // Clients of servers that an operator's settings name.
  { what: 'the OpenID Connect client', find: /from\s*['"](?:openid-client|oauth4webapi)['"]/g, places: ['adapters/oidc.ts'] },
  { what: 'keys of somebody else’s', find: /\bcreateRemoteJWKSet\b/g, places: [] },
]

/** Nothing asks an address of its own accord: what may be named by somebody else goes through `adapters/outgoing`. */
export const outgoing: Check = {
  name: 'outgoing',
  async run(root) {
    const files = projectFiles(root, sources).filter(({ path }) => productRooms.some((room) => path.startsWith(`${room}/`)) && !/\.test\.ts$|\/testing\//.test(path))
    const unused = ways.flatMap(({ what, find, places }) => places.filter((place) => !files.some(({ path, text }) => path === place && text.search(find) >= 0)).map((place) => `${place}: is let use ${what} and does not: take it out of tests/house/outgoing.ts`))
    return [...files.flatMap(({ path, text }) => waysOut(path, text)), ...unused]
  },
}

export const waysOut = (path: string, text: string): Finding[] =>
  ways.filter(({ places }) => !places.includes(path)).flatMap(({ what, find }) =>
    [...text.matchAll(find)].map(({ index }) => `${path}:${lineAt(text, index)}: uses ${what}: ask by way of ${guard}, or say in tests/house/outgoing.ts why not`),
  )
