import { lineAt, projectFiles } from './files.ts'
import type { Check, Finding } from './finding.ts'

const sources = ['.ts', '.tsx', '.mts', '.mjs', '.cjs']

/** Tests that do not run, and work that was put off. */
export const unfinished: Check = {
  name: 'unfinished',
  run: async (root) => projectFiles(root, sources).flatMap(({ path, text }) => unfinishedLines(path, text)),
}

// Letters in brackets and groups keep each pattern from matching the line that states it.
const patterns: readonly { what: string; find: RegExp }[] = [
  { what: 'a test that is skipped, put off or alone: every test runs', find: /(?<![\w.])(?:it|test|describe)(?:\.concurrent)?\.(?:only|skip|todo|failing)\b/g },
  { what: 'a test that is skipped or alone: every test runs', find: /(?<![\w.])(?:xit|xtest|xdescribe|fit|fdescribe)(?:\.each)?\(/g },
  { what: 'work put off: finish it or take it out', find: /\bTO[D]O\b|\bFIXM[E]\b|\bXX[X]\b|not implemente[d]/g },
]

export const unfinishedLines = (path: string, text: string): Finding[] =>
  patterns.flatMap(({ what, find }) => [...text.matchAll(find)].map(({ index }) => `${path}:${lineAt(text, index)}: ${what}`))
