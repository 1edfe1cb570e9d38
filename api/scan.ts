/**
 * What `JSON.parse` lets through in silence: a key given twice, keys that reach for the prototype,
 * nesting without end, more of anything than a body of ours ever holds, numbers and strings that would not survive being stored. The scan reads the raw
 * text with the grammar of RFC 8259 and stops at the first finding; it builds no values.
 */

export const maxDepth = 32
/** Of one object, and of one list: what is longer costs everybody's time before a schema has seen it. */
export const maxMembers = 1_000
export const maxItems = 10_000

export type Finding = { code: FindingCode; path: string; message: string }
export type FindingCode = 'malformed_json' | 'duplicate_key' | 'prototype_key' | 'too_deep' | 'too_many' | 'unsafe_number' | 'bad_text'

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype'])
const numberToken = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const stringToken = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const wordToken = /true|false|null/y
const whitespace = /[ \t\n\r]*/y

/** `path` is where the scan stands: one list for all of it, since most of what is read is never told of. */
type Scanner = { text: string; at: number; path: (string | number)[]; setAside: SetAside | undefined }
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
  const scanner: Scanner = { text, at: 0, path: [], setAside }
  try {
    value(scanner)
    skip(scanner)
    if (scanner.at < text.length) malformed(scanner, 'something follows the value')
    return undefined
  } catch (found) {
    if (found instanceof Found) return found.finding
    throw found
  }
}

function value(scanner: Scanner): void {
  skip(scanner)
  const first = scanner.text[scanner.at]
  if (first === '{' || first === '[') {
    if (scanner.path.length >= maxDepth) report(scanner, 'too_deep', `nested deeper than ${maxDepth} levels: flatten the body`)
    return first === '{' ? object(scanner) : array(scanner)
  }
  if (first === '"') return void text(scanner)
  const number = token(scanner, numberToken)
  if (number !== undefined) return checkNumber(scanner, number)
  if (token(scanner, wordToken) === undefined) malformed(scanner, 'a value was expected')
}

function object(scanner: Scanner): void {
  const keys = new Set<string>()
  scanner.at++
  if (closes(scanner, '}')) return
  do {
    skip(scanner)
    if (scanner.text[scanner.at] !== '"') malformed(scanner, 'a key in double quotes was expected')
    const key = text(scanner)
    scanner.path.push(key)
    if (forbiddenKeys.has(key)) refuse(scanner, 'prototype_key', `the key \`${key}\` is never allowed: remove it`)
    if (keys.has(key)) refuse(scanner, 'duplicate_key', 'the key is given twice: keep one')
    keys.add(key)
    if (keys.size > maxMembers) report(scanner, 'too_many', `is one key more than the ${maxMembers} that an object may have`)
    if (!closes(scanner, ':')) malformed(scanner, '`:` was expected')
    value(scanner)
    scanner.path.pop()
  } while (closes(scanner, ','))
  if (!closes(scanner, '}')) malformed(scanner, '`,` or `}` was expected')
}

function array(scanner: Scanner): void {
  scanner.at++
  if (closes(scanner, ']')) return
  let index = 0
  do {
    scanner.path.push(index++)
    if (index > maxItems) report(scanner, 'too_many', `is one item more than the ${maxItems} that a list may have`)
    value(scanner)
    scanner.path.pop()
  } while (closes(scanner, ','))
  if (!closes(scanner, ']')) malformed(scanner, '`,` or `]` was expected')
}

function text(scanner: Scanner): string {
  const raw = token(scanner, stringToken)
  if (raw === undefined) malformed(scanner, 'a string is not closed or holds a bare control character')
  const decoded = raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1)
  // PostgreSQL stores no NUL, and a lone surrogate has no canonical form to hash.
  if (decoded.includes('\u0000') || !decoded.isWellFormed()) {
    refuse(scanner, 'bad_text', 'a string holds a NUL or half of a surrogate pair: remove it')
  }
  return decoded
}

function checkNumber(scanner: Scanner, literal: string): void {
  const number = Number(literal)
  const exact = Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number))
  if (!exact) refuse(scanner, 'unsafe_number', `\`${literal.slice(0, 40)}\` is too large to be read exactly: give a smaller number`)
}

function token(scanner: Scanner, pattern: RegExp): string | undefined {
  pattern.lastIndex = scanner.at
  const found = pattern.exec(scanner.text)?.[0]
  if (found !== undefined) scanner.at += found.length
  return found
}

const space = 0x20

function skip(scanner: Scanner): void {
  if (scanner.text.charCodeAt(scanner.at) <= space) token(scanner, whitespace) // most values stand close together
}

/** Steps over `mark` where it comes next. */
function closes(scanner: Scanner, mark: string): boolean {
  skip(scanner)
  if (scanner.text[scanner.at] !== mark) return false
  scanner.at++
  return true
}

function malformed(scanner: Scanner, what: string): never {
  return report(scanner, 'malformed_json', `not JSON at character ${scanner.at + 1}: ${what}`)
}

/** To what is JSON and yet may not come in. */
function refuse(scanner: Scanner, code: FindingCode, message: string): void {
  const path = [...scanner.path]
  const finding = { code, path: fieldPath(path), message }
  if (!scanner.setAside?.(path, finding)) throw new Found(finding)
}

function report({ path }: Scanner, code: FindingCode, message: string): never {
  throw new Found({ code, path: fieldPath(path), message })
}

/** `alerts[0].labels.severity`, as problem documents name fields. Long keys are cut. */
export const fieldPath = (path: readonly PropertyKey[]): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part).slice(0, 80)}`))
    .join('')
    .replace(/^\./, '')
