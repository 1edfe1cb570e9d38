import { projectFiles } from './files.ts'
import type { Check, Finding } from './finding.ts'

const sources = ['.ts', '.tsx', '.mts', '.mjs', '.cjs', '.sh']
const mostLines = 500

/** One file, one concept: past this length it holds two. */
export const sizes: Check = {
  name: 'sizes',
  run: async (root) => projectFiles(root, sources).flatMap(({ path, text }) => tooLong(path, text)),
}

export function tooLong(path: string, text: string): Finding[] {
  const lines = text.split('\n').length - 1
  return lines < mostLines ? [] : [`${path}: has ${lines} lines: split it where the second concept begins (below ${mostLines})`]
}
