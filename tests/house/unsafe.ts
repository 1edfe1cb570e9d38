import { lineAt, projectFiles } from './files.ts'
import type { Check, Finding } from './finding.ts'

const sources = ['.ts', '.tsx', '.mts', '.mjs', '.cjs']
const productRooms = ['domain', 'workflows', 'activities', 'adapters', 'temporal', 'workers', 'api', 'migrations', 'cli', 'web']

type Thing = { what: string; find: RegExp; places?: readonly string[] }

/** What the product does without: each of these is a way for a value from outside to become more than a value, or a secret less than one. */
const things: readonly Thing[] = [
  { what: 'another program', find: /from\s*['"](?:node:)?child_process['"]|import\(\s*['"](?:node:)?child_process/g },
  { what: 'code made of text', find: /(?<![\w.])eval\s*\(|\bnew\s+Function\s*\(|from\s*['"](?:node:)?vm['"]/g },
  // Git names its files by SHA-1; nothing is trusted for it.
  { what: 'a hash that is broken', find: /createH(?:ash|mac)\(\s*['"](?:md[245]|sha-?1|ripemd\w*)['"]|['"]sha1['"]/gi, places: ['adapters/policies/commit.ts'] },
  { what: 'a cipher other than AES-256-GCM', find: /create(?:Cipher|Decipher)(?:iv)?\(\s*(?!['"]aes-256-gcm['"])|\b(?:public|private)(?:Encrypt|Decrypt)\b/g },
  // Spreads retries, and is nobody's secret.
  { what: 'randomness that can be guessed', find: /Math\s*\.\s*random/g, places: ['adapters/kubernetes/watch.ts'] },
  { what: 'markup made of text', find: /\.(?:inner|outer)HTML\b|dangerouslySetInnerHTML|document\.write/g },
  { what: 'a reader of XML, a template engine, LDAP, mail or memcache', find: /from\s*['"](?:xml2js|fast-xml-parser|libxmljs2?|sax|xpath|ejs|pug|handlebars|mustache|nunjucks|ldapjs|ldapts|nodemailer|memcached|memjs)['"]/g },
  { what: 'a check of certificates that is switched off', find: /rejectUnauthorized\s*:\s*false|NODE_TLS_REJECT_UNAUTHORIZED|skipTLSVerify\s*[:=]\s*true/g },
]

/** The product starts no program, runs no text, and uses no cryptography that is broken or guessable. */
export const unsafe: Check = {
  name: 'unsafe',
  run: async (root) =>
    projectFiles(root, sources)
      .filter(({ path }) => productRooms.some((room) => path.startsWith(`${room}/`)) && !/\.test\.ts$|\/testing\//.test(path))
      .flatMap(({ path, text }) => unsafeLines(path, text)),
}

export const unsafeLines = (path: string, text: string): Finding[] =>
  things.filter(({ places = [] }) => !places.includes(path)).flatMap(({ what, find }) =>
    [...text.matchAll(find)].map(({ index }) => `${path}:${lineAt(text, index)}: uses ${what}: do without, or say in tests/house/unsafe.ts why it is safe there`),
  )
