import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { lineAt, projectFiles, type ProjectFile } from './files.ts'
import type { Check, Finding } from './finding.ts'

/** What a newcomer, an operator and the machinery look for by name. */
const required = [
  'README.md', 'CHANGELOG.md', 'LICENSE', 'package.json', 'docker-compose.yml', 'docs/architecture.md', '.ci/run',
  'domain', 'workflows', 'activities', 'adapters', 'temporal', 'workers', 'api', 'migrations', 'deploy',
]

/** Pages that are there, links that lead somewhere, commands that exist. */
export const docs: Check = {
  name: 'docs',
  async run(root) {
    const { scripts = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts?: Record<string, string> }
    const pages = projectFiles(root, ['.md'])
    return [
      ...required.filter((path) => !existsSync(join(root, path))).map((path) => `${path}: is missing`),
      ...deadLinks(pages, (path) => existsSync(join(root, path))),
      ...unknownCommands(pages, Object.keys(scripts)),
    ]
  },
}

/** Relative links, and the headings they name, across all pages. */
export function deadLinks(pages: readonly ProjectFile[], exists: (path: string) => boolean): Finding[] {
  const headings = new Map(pages.map(({ path, text }) => [path, slugs(text)]))
  return pages.flatMap(({ path, text }) =>
    links(text).flatMap(({ target, offset }) => {
      const [file = '', heading] = target.split('#', 2)
      const found = file === '' ? path : normalize(join(dirname(path), decodeURIComponent(file)))
      const at = `${path}:${lineAt(text, offset)}`
      if (!exists(found)) return [`${at}: the link \`${target}\` leads nowhere`]
      if (heading === undefined || headings.get(found)?.has(heading) !== false) return []
      return [`${at}: \`${found}\` has no heading \`#${heading}\``]
    }),
  )
}

/** `npm run x` in a page is a promise that there is an `x`. */
export const unknownCommands = (pages: readonly ProjectFile[], scripts: readonly string[]): Finding[] =>
  pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\bnpm run ([a-z][\w:-]*)/g)]
      .filter(([, name = '']) => !scripts.includes(name))
      .map(({ 1: name, index }) => `${path}:${lineAt(text, index)}: \`npm run ${name}\` is not in package.json`),
  )

/** Code is not prose: a link in it is an example. Blanked, so that line numbers stay true. */
const prose = (text: string): string =>
  text.replace(/^(```|~~~)[\s\S]*?^\1[^\n]*$|`[^`\n]*`/gm, (code) => code.replace(/[^\n]/g, ' '))

function links(text: string): { target: string; offset: number }[] {
  const written = prose(text)
  const inline = [...written.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)]
  const named = [...written.matchAll(/^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?\s*$/gm)]
  return [...inline, ...named]
    .map((match) => ({ target: match[1] ?? '', offset: match.index }))
    .filter(({ target }) => !/^[a-z][a-z0-9+.-]*:|^\/\//i.test(target))
}

/** Headings as the usual hosts turn them into anchors; a repeated one gets a number. */
function slugs(text: string): Set<string> {
  const seen = new Map<string, number>()
  const anchors = new Set<string>()
  // Headings keep the words of their code spans, so only fenced blocks are blanked here.
  const written = text.replace(/^(```|~~~)[\s\S]*?^\1[^\n]*$/gm, '')
  for (const [, title = ''] of written.matchAll(/^#{1,6}\s+(.+?)\s*#*\s*$/gm)) {
    const slug = title.toLowerCase().replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')
    const times = seen.get(slug) ?? 0
    seen.set(slug, times + 1)
    anchors.add(times === 0 ? slug : `${slug}-${times}`)
  }
  return anchors
}
