import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, extname, join } from 'node:path'

export type ProjectFile = { path: string; text: string }

/** A file larger than this is data, not something a person reads: it is not searched. */
const largestFileBytes = 2_000_000

/** Where the planted violations live. They are checked by their own tests, never as part of the product. */
export const fixtures = 'tests/house/fixtures'

/**
 * Every file of the project: what is in the checkout and not ignored by git. It walks by itself, so
 * a new file is seen before it is added and an unpacked archive is checked like a clone.
 * Paths are relative to `root`, with forward slashes, in a stable order.
 */
export function projectPaths(root: string): string[] {
  const ignored = ignoreRules(root)
  const paths: string[] = []
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (ignored(entry.name)) continue
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile()) paths.push(path)
    }
  }
  walk('')
  return paths.sort()
}

/** The text files among them. `only` narrows by ending, such as `.md`. */
export function projectFiles(root: string, only?: readonly string[]): ProjectFile[] {
  return projectPaths(root)
    .filter((path) => only === undefined || only.includes(extname(path)) || only.includes(basename(path)))
    .filter((path) => statSync(join(root, path)).size <= largestFileBytes)
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
    .filter(({ text }) => !text.includes('\0'))
}

/** `.gitignore` as this project writes it: plain names, names with a slash at the end, and `*.ending`. */
function ignoreRules(root: string): (name: string) => boolean {
  const file = join(root, '.gitignore')
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  const rules = lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  const endings = rules.filter((rule) => rule.startsWith('*.')).map((rule) => rule.slice(1))
  const names = new Set(['.git', 'node_modules', ...rules.map((rule) => rule.replace(/^\/|\/$/g, ''))])
  return (name) => names.has(name) || endings.some((ending) => name.endsWith(ending))
}

/** 1-based line of a character offset. */
export const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length
