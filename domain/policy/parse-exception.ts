import { canonicalUsername } from '../identity.ts'
import { parseInstant } from './calendar.ts'
import { fieldsOf, filledListOf, isRecord, oneOf, problemList, textOf, type Fields, type Problem, type Report } from './check.ts'
import { exceptionApiVersion, longestExceptionMs, type ExceptionDocument } from './exception.ts'
import type { Budget } from './parse-condition.ts'
import { actionOf, conditionOf, idOf, isAbsent, resourceGlobOf, sizeProblem, type ParseOptions } from './parse.ts'

export type ParsedException = { exception: ExceptionDocument; problems?: undefined } | { exception?: undefined; problems: Problem[] }

const exceptionFields = ['apiVersion', 'id', 'policy', 'actions', 'resources', 'when', 'notBefore', 'expiresAt', 'reason', 'author', 'approvedBy'] as const

/** A document that says of itself that it is an exception, well-formed or not. */
export const isException = (value: unknown): boolean => isRecord(value) && typeof value['apiVersion'] === 'string' && value['apiVersion'].startsWith('aegis.dev/policy-exception/')

/** Reads one exception from plain data, as strictly as a policy: what it opens must be what two people read. */
export function parseException(value: unknown, { zoneExists, compileCel }: ParseOptions): ParsedException {
  const { problems, report } = problemList()
  const tooLarge = sizeProblem(value)
  if (tooLarge) return { problems: [{ path: [], message: tooLarge }] }
  const fields = fieldsOf(value, [], exceptionFields, report)
  const exception = fields && readException(fields, { nodes: 0, globs: 0, expressions: 0, zoneExists, compileCel, report })
  return exception && problems.length === 0 ? { exception } : { problems }
}

function readException(fields: Fields, budget: Budget): ExceptionDocument | undefined {
  const { report } = budget
  const text = (key: string) => textOf(fields[key], [key], report)
  oneOf(fields['apiVersion'], ['apiVersion'], [exceptionApiVersion], report)
  const id = idOf(fields['id'], report)
  const actions = filledListOf(fields['actions'], ['actions'], report, (value, path) => actionOf(value, path, budget))
  const resources = filledListOf(fields['resources'], ['resources'], report, (value, path) => resourceGlobOf(value, path, budget))
  const when = isAbsent(fields, 'when') ? { all: [] } : conditionOf(fields, 'when', { all: [] }, budget)
  const [policy, reason, author, approvedBy] = [text('policy'), text('reason'), text('author'), text('approvedBy')]
  const [notBefore, expiresAt] = [instantOf(fields, 'notBefore', report), instantOf(fields, 'expiresAt', report)]
  if (author !== undefined && approvedBy !== undefined && person(author) === person(approvedBy)) report(['approvedBy'], 'is the author: a second person has to approve')
  if (!id || !actions || !resources || !policy || !reason || !author || !approvedBy || !notBefore || !expiresAt) return undefined
  const lastsMs = parseInstant(expiresAt)! - parseInstant(notBefore)!
  if (lastsMs <= 0) report(['expiresAt'], 'must be after `notBefore`')
  if (lastsMs > longestExceptionMs) report(['expiresAt'], 'is more than 30 days after `notBefore`: change the policy instead')
  return { apiVersion: exceptionApiVersion, id, policy, actions, resources, when, notBefore, expiresAt, reason, author, approvedBy }
}

/** However somebody is spelt, a second spelling is no second person. */
const person = (name: string): string => canonicalUsername(name.normalize('NFKC'))

function instantOf(fields: Fields, key: string, report: Report): string | undefined {
  const text = textOf(fields[key], [key], report)
  if (text === undefined || parseInstant(text) !== undefined) return text
  return void report([key], 'is no instant such as `2026-12-24T18:00:00Z`')
}
