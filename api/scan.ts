/**
 * What `JSON.parse` lets through in silence: a key given twice, keys that reach for the prototype,
 * nesting without end, numbers and strings that would not survive being stored. The scan reads the raw
 * text with the grammar of RFC 8259 and stops at the first finding; it builds no values.
 */

export const maxDepth = 32

export type Finding = { code: FindingCode; path: string; message: string }
export type FindingCode = 'malformed_json' | 'duplicate_key' | 'prototype_key' | 'too_deep' | 'unsafe_number' | 'bad_text'

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype'])
const numberToken = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const stringToken = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const wordToken = /true|false|null/y
const whitespace = /[ \t\n\r]*/y

type Scanner = { text: string; at: number; setAside: SetAside | undefined }
/** Whether what was found there is dealt with otherwise, so that the scan goes on. What is no JSON ends it always. */
export type SetAside = (path: Path, finding: Finding) => boolean
export type Path = readonly (string | number)[]

class Found extends Error {
  readonly finding: Finding
  constructor(finding: Finding) {
    super(finding.message)
    this.finding = finding
  }
}

/** The first thing wrong with `text` as a request body, or undefined when `JSON.parse` may have it. */
export function scanJson(text: string, setAside?: SetAside): Finding | undefined {
  const scanner: Scanner = { text, at: 0, setAside }
  try {
    value(scanner, [], 0)
    skip(scanner)
    if (scanner.at < text.length) malformed(scanner, [], 'something follows the value')
    return undefined
  } catch (found) {
    if (found instanceof Found) return found.finding
    throw found
  }
}

function value(scanner: Scanner, path: Path, depth: number): void {
  skip(scanner)
  const first = scanner.text[scanner.at]
  if (first === '{' || first === '[') {
    if (depth >= maxDepth) report('too_deep', path, `nested deeper than ${maxDepth} levels: flatten the body`)
    return first === '{' ? object(scanner, path, depth) : array(scanner, path, depth)
  }
  if (first === '"') return void text(scanner, path)
  const number = token(scanner, numberToken)
  if (number !== undefined) return checkNumber(scanner, number, path)
  if (token(scanner, wordToken) === undefined) malformed(scanner, path, 'a value was expected')
}

function object(scanner: Scanner, path: Path, depth: number): void {
  const keys = new Set<string>()
  scanner.at++
  if (closes(scanner, '}')) return
  do {
    skip(scanner)
    if (scanner.text[scanner.at] !== '"') malformed(scanner, path, 'a key in double quotes was expected')
    const key = text(scanner, path)
    const here = [...path, key]
    if (forbiddenKeys.has(key)) refuse(scanner, 'prototype_key', here, `the key \`${key}\` is never allowed: remove it`)
    if (keys.has(key)) refuse(scanner, 'duplicate_key', here, 'the key is given twice: keep one')
    keys.add(key)
    if (!closes(scanner, ':')) malformed(scanner, here, '`:` was expected')
    value(scanner, here, depth + 1)
  } while (closes(scanner, ','))
  if (!closes(scanner, '}')) malformed(scanner, path, '`,` or `}` was expected')
}

function array(scanner: Scanner, path: Path, depth: number): void {
  scanner.at++
  if (closes(scanner, ']')) return
  let index = 0
  do {
    value(scanner, [...path, index++], depth + 1)
  } while (closes(scanner, ','))
  if (!closes(scanner, ']')) malformed(scanner, path, '`,` or `]` was expected')
}

function text(scanner: Scanner, path: Path): string {
  const raw = token(scanner, stringToken)
  if (raw === undefined) malformed(scanner, path, 'a string is not closed or holds a bare control character')
  const decoded = JSON.parse(raw) as string
  // PostgreSQL stores no NUL, and a lone surrogate has no canonical form to hash.
  if (decoded.includes('\u0000') || !decoded.isWellFormed()) {
    refuse(scanner, 'bad_text', path, 'a string holds a NUL or half of a surrogate pair: remove it')
  }
  return decoded
}

function checkNumber(scanner: Scanner, literal: string, path: Path): void {
  const number = Number(literal)
  const exact = Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number))
  if (!exact) refuse(scanner, 'unsafe_number', path, `\`${literal.slice(0, 40)}\` is too large to be read exactly: give a smaller number`)
}

function token(scanner: Scanner, pattern: RegExp): string | undefined {
  pattern.lastIndex = scanner.at
  const found = pattern.exec(scanner.text)?.[0]
  if (found !== undefined) scanner.at += found.length
  return found
}

const skip = (scanner: Scanner) => void token(scanner, whitespace)

/** Steps over `mark` where it comes next. */
function closes(scanner: Scanner, mark: string): boolean {
  skip(scanner)
  if (scanner.text[scanner.at] !== mark) return false
  scanner.at++
  return true
}

function malformed(scanner: Scanner, path: Path, what: string): never {
  return report('malformed_json', path, `not JSON at character ${scanner.at + 1}: ${what}`)
}

/** To what is JSON and yet may not come in. */
function refuse(scanner: Scanner, code: FindingCode, path: Path, message: string): void {
  const finding = { code, path: fieldPath(path), message }
  if (!scanner.setAside?.(path, finding)) throw new Found(finding)
}

function report(code: FindingCode, path: Path, message: string): never {
  throw new Found({ code, path: fieldPath(path), message })
}

/** `alerts[0].labels.severity`, as problem documents name fields. Long keys are cut. */
export const fieldPath = (path: readonly PropertyKey[]): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part).slice(0, 80)}`))
    .join('')
    .replace(/^\./, '')
