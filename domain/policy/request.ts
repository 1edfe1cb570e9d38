import { canonicalJson } from '../canonical.ts'
import { roles } from '../remediation.ts'
import { isRecord } from './check.ts'
import { requestTypes, type PolicyInput } from './input.ts'
import { canonicalAction, completeResource, parseResource } from './names.ts'

/** A request in canonical spelling, or what is wrong with it. */
export type ReadableRequest = { input: PolicyInput; segments: readonly string[]; problem?: undefined }
export type ReadRequest = ReadableRequest | { problem: string }

const principalKinds = ['person', 'service', 'key']
const factFields = ['context', 'request', 'target', 'history'] as const

/** Checks the shape at run time too: a decision must not rest on a caller's type assertion. */
export function readRequest(input: PolicyInput): ReadRequest {
  const problem = shapeProblem(input)
  if (problem) return { problem }
  const action = canonicalAction(input.action, false)
  if (action === undefined) return { problem: 'the action must be `kind:verb`' }
  const resource = parseResource(completeResource(input.resource, input.context), false)
  if (!resource) return { problem: 'the resource must name one object in full, such as `k8s:cluster/namespace/deployment/name`' }
  return { input: { ...input, action, resource: resource.text }, segments: resource.segments }
}

/** What is digested, or undefined for a request that is not plain data. */
export function canonical(input: PolicyInput): string | undefined {
  try {
    return canonicalJson(input)
  } catch {
    return undefined
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string')

function shapeProblem(input: unknown): string | undefined {
  if (!isRecord(input)) return 'the request must be an object'
  if (!isText(input['action']) || !isText(input['resource'])) return 'action and resource must be text'
  if (!requestTypes.some((type) => type === input['type'])) return `type must be one of ${requestTypes.join(', ')}`
  if (typeof input['now'] !== 'number' || !Number.isFinite(input['now'])) return 'now must be epoch milliseconds'
  if (typeof input['tzdata'] !== 'string') return 'tzdata must be text'
  const missing = factFields.find((field) => !isRecord(input[field]))
  if (missing) return `${missing} must be an object`
  return principalProblem(input['principal']) ?? approvalsProblem(input['approvals'])
}

function principalProblem(principal: unknown): string | undefined {
  if (!isRecord(principal) || !isText(principal['id']) || !isText(principal['owner'])) return 'the principal must have an id and an owner'
  if (!principalKinds.includes(principal['kind'] as string)) return `the principal's kind must be one of ${principalKinds.join(', ')}`
  return areRoles(principal['roles']) ? undefined : `the principal's roles must be among ${roles.join(', ')}`
}

function approvalsProblem(approvals: unknown): string | undefined {
  if (!Array.isArray(approvals)) return 'approvals must be a list'
  const whole = approvals.every((approval) =>
    isRecord(approval) && isText(approval['principalId']) && isText(approval['owner']) &&
    areRoles(approval['roles']) && isTextList(approval['groups']) && Number.isFinite(approval['at']) &&
    (approval['breakGlass'] === undefined || typeof approval['breakGlass'] === 'boolean'))
  return whole ? undefined : 'each approval must have principalId, owner, roles, groups and at, and may have breakGlass'
}

const areRoles = (value: unknown): boolean => Array.isArray(value) && value.every((role) => roles.includes(role as never))
