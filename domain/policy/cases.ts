/** Tests that live beside policies: a request, a time, and the answer it must get. */
import { fieldsOf, filledListOf, isRecord, oneOf, problemList, textOf, type Fields, type Problem, type Report } from './check.ts'
import { parseInstant } from './calendar.ts'
import { decide } from './decide.ts'
import type { Decision } from './decision.ts'
import { requestTypes, type Facts, type PolicyInput } from './input.ts'
import { capByMode, proceeds, type Proceed } from './mode.ts'
import type { PolicySnapshot } from './snapshot.ts'

export const caseApiVersion = 'aegis.dev/policy-test/v1'

export type PolicyCase = {
  name: string
  input: PolicyInput
  expect: { proceed: Proceed; code: string | null; determining: string[] | null }
}

export type ParsedCase = { test: PolicyCase; problems?: undefined } | { test?: undefined; problems: Problem[] }

export type CaseResult = {
  name: string
  ok: boolean
  /** What came out, in the words that the case could have asked for. */
  proceed: Proceed
  code: string
  determining: string[]
  message: string
  /** What was wanted and is not so, one line each. */
  failures: string[]
}

const caseFields = ['apiVersion', 'name', 'request', 'now', 'expect'] as const
const requestFields = ['action', 'resource', 'type', 'principal', 'context', 'request', 'target', 'history', 'approvals'] as const
const expectFields = ['proceed', 'code', 'determining'] as const

/** Reads one test from plain data, as strictly as a policy: a misspelt field would test nothing. */
export function parseCase(value: unknown, tzdata: string): ParsedCase {
  const { problems, report } = problemList()
  const fields = fieldsOf(value, [], caseFields, report)
  const test = fields && readCase(fields, tzdata, report)
  return test && problems.length === 0 ? { test } : { problems }
}

function readCase(fields: Fields, tzdata: string, report: Report): PolicyCase | undefined {
  oneOf(fields['apiVersion'], ['apiVersion'], [caseApiVersion], report)
  const name = textOf(fields['name'], ['name'], report)
  const now = nowOf(fields['now'], report)
  const request = fieldsOf(fields['request'], ['request'], requestFields, report)
  const expected = fieldsOf(fields['expect'], ['expect'], expectFields, report)
  if (name === undefined || now === undefined || !request || !expected) return undefined
  const input = inputOf(request, now, tzdata, report)
  const expect = expectationOf(expected, report)
  return input && expect && { name, input, expect }
}

function nowOf(value: unknown, report: Report): number | undefined {
  const text = textOf(value, ['now'], report)
  const now = text === undefined ? undefined : parseInstant(text)
  if (text !== undefined && now === undefined) report(['now'], 'is no instant such as `2026-12-24T18:00:00Z`')
  return now
}

/** Whoever asks in a test that says nothing of it. */
const someService = { id: 'tester', kind: 'service', owner: 'tester', roles: ['service'] } as const

function inputOf(fields: Fields, now: number, tzdata: string, report: Report): PolicyInput | undefined {
  const at = (key: string) => ['request', key]
  const action = textOf(fields['action'], at('action'), report)
  const resource = textOf(fields['resource'], at('resource'), report)
  const type = fields['type'] === undefined ? 'self_healing' : oneOf(fields['type'], at('type'), requestTypes, report)
  const facts = (key: 'context' | 'request' | 'target' | 'history'): Facts => {
    const given = fields[key] ?? {}
    if (!isRecord(given)) report(at(key), 'expected a mapping of facts')
    return given as Facts
  }
  if (action === undefined || resource === undefined || type === undefined) return undefined
  // The rest of its shape is judged as that of any request: one that cannot be read is denied with `malformed_request`.
  const principal = (fields['principal'] ?? someService) as PolicyInput['principal']
  const approvals = (fields['approvals'] ?? []) as PolicyInput['approvals']
  return { principal, action, resource, type, context: facts('context'), request: facts('request'), target: facts('target'), history: facts('history'), approvals, now, tzdata }
}

function expectationOf(fields: Fields, report: Report): PolicyCase['expect'] | undefined {
  const proceed = oneOf(fields['proceed'], ['expect', 'proceed'], proceeds, report)
  const code = fields['code'] === undefined ? null : (textOf(fields['code'], ['expect', 'code'], report) ?? null)
  const determining = fields['determining'] === undefined ? null : (filledListOf(fields['determining'], ['expect', 'determining'], report, (id, path) => textOf(id, path, report)) ?? null)
  return proceed && { proceed, code, determining }
}

/** As far as policies let it go: the mode of a namespace is no policy's business. */
export function runCase(snapshot: PolicySnapshot, { name, input, expect }: PolicyCase): CaseResult {
  const decision = decide(snapshot, input)
  const { proceed, code, message } = capByMode(decision, 'auto')
  const determining = idsOf(decision)
  const failures = [
    ...differs('proceed', expect.proceed, proceed),
    ...(expect.code === null ? [] : differs('code', expect.code, code)),
    ...(expect.determining === null ? [] : differs('determining', [...expect.determining].sort().join(', '), determining.join(', '))),
  ]
  return { name, ok: failures.length === 0, proceed, code, determining, message, failures }
}

const idsOf = ({ determining }: Decision): string[] => determining.map(({ id }) => id).sort()

const differs = (what: string, wanted: string, found: string): string[] => (wanted === found ? [] : [`${what}: wanted ${wanted || 'none'}, found ${found || 'none'}`])
