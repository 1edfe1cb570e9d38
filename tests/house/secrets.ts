import { lineAt, projectFiles } from './files.ts'
import type { Check, Finding } from './finding.ts'

type Pattern = { what: string; find: RegExp; next: string }

const rotate = 'take it out, and replace it where it is used: it has been seen'

// Letters in brackets keep each pattern from matching the line that states it. The three passwords that
// every example uses are let through: they open nothing.
const patterns: readonly Pattern[] = [
  { what: 'a private key', find: /-----BEGIN [A-Z ]*PRIVATE KE[Y]-----/g, next: rotate },
  { what: 'an AWS access key', find: /\b(?:AKI|ASI)A[0-9A-Z]{16}\b/g, next: rotate },
  { what: 'a GitHub token', find: /\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pa[t]_[A-Za-z0-9_]{60}/g, next: rotate },
  { what: 'a Slack token', find: /\bxox[baprs]-[A-Za-z0-9-]{20}/g, next: rotate },
  { what: 'a Google key', find: /\bAIz[a][0-9A-Za-z_-]{35}/g, next: rotate },
  { what: 'an npm token', find: /\bnpm_[A-Za-z0-9]{36}/g, next: rotate },
  { what: 'an API key of Aegis', find: /\baegis_[a-z0-9]{6,16}_[A-Za-z0-9_-]{32}/g, next: rotate },
  { what: 'a JSON Web Token', find: /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/g, next: rotate },
  { what: 'a kubeconfig key', find: /client-key-dat[a]: *[A-Za-z0-9+/=]{40}/g, next: rotate },
  { what: 'a password in a URL', find: /\b[a-z][a-z0-9+]*:\/\/[^\s:/@'"`]+:(?!(?:hunter2|password|secret)@)[^\s:/@'"`$<{[]{4,}@(?!localhost|127\.0\.0\.1|\[::1\]|[^\s/]*example)[a-z0-9]/gi, next: rotate },
  { what: 'a path of one machine', find: /(?<![\w.~-])\/(?:roo[t]|hom[e]\/[a-z][\w-]*|User[s]\/\w+|wor[k]|far[m])\//g, next: 'write it relative to the checkout' },
  {
    what: 'the address of a package host',
    find: /registr[y]\.npmjs|registr[y]\.yarnpkg|prox[y]\.golang|pyp[i]\.org|pythonhoste[d]|de[b]\.debian/g,
    next: 'packages come from wherever the machine is configured to get them',
  },
]

/** Secrets, and traces of one machine, in any text file of the project. */
export const secrets: Check = {
  name: 'secrets',
  run: async (root) => projectFiles(root).flatMap(({ path, text }) => leaks(path, text)),
}

/** The finding names the line and never repeats what it found there. */
export const leaks = (path: string, text: string): Finding[] =>
  patterns.flatMap(({ what, find, next }) =>
    [...text.matchAll(find)].map(({ index }) => `${path}:${lineAt(text, index)}: ${what}: ${next}`),
  )
