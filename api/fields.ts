import type { z } from 'zod'
import type { FieldError } from './problems.ts'
import { fieldPath } from './scan.ts'

/** As many as a person reads; a body of nothing but unknown fields must not make a huge answer. */
const errorLimit = 20

type Issue = z.core.$ZodIssue

/** What a schema found, in the operator's words, each with the path of its field. */
export const fieldErrors = (issues: readonly Issue[], input: unknown): FieldError[] =>
  issues.slice(0, errorLimit).flatMap((issue) => describe(issue, input)).slice(0, errorLimit)

function describe(issue: Issue, input: unknown): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, errorLimit).map((key) => ({ field: fieldPath([...issue.path, key]), message: 'unknown field: remove it' }))
  }
  return [{ field: fieldPath(issue.path), message: sentence(issue, at(input, issue.path)) }]
}

function sentence(issue: Issue, given: unknown): string {
  const options = optionsOf(issue)
  if (given === undefined) return options ? `missing: use ${options}` : 'missing: it is required'
  if (options) return `${quoted(given)} is not allowed: use ${options}`
  if (issue.code === 'invalid_type') return `must be ${article(issue.expected)}, not ${article(typeName(given))}`
  if (issue.code === 'too_small') return `must be at least ${issue.minimum}${unit(issue.origin)}`
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}${unit(issue.origin)}`
  return issue.message
}

function optionsOf(issue: Issue): string | undefined {
  const values = issue.code === 'invalid_value' ? issue.values : issue.code === 'invalid_union' && 'options' in issue ? issue.options : undefined
  return Array.isArray(values) && values.length > 0 ? values.map((value) => `\`${String(value)}\``).join(', ') : undefined
}

const at = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((value, key) => (typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined), input)

const quoted = (given: unknown): string =>
  typeof given === 'string' || typeof given === 'number' || typeof given === 'boolean' ? `\`${String(given).slice(0, 80)}\`` : article(typeName(given))

const typeName = (given: unknown): string => (given === null ? 'null' : Array.isArray(given) ? 'array' : typeof given)

const names: Record<string, string> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
  null: 'null',
}
const article = (type: string): string => names[type] ?? type

const unit = (origin: string): string => (origin === 'string' ? ' characters' : origin === 'array' ? ' entries' : '')
