import { compileCondition, timeTests, type KnownNodes, type Means, type Node } from './condition.ts'
import { dayMs, parseInstant } from './calendar.ts'
import type { Condition, PolicyDocument } from './document.ts'
import { compileGlob, type Glob } from './glob.ts'
import type { PolicyInput } from './input.ts'
import { actionKeys, parseResource } from './names.ts'
import type { TimeTest } from './time.ts'
import type { Truth } from './truth.ts'

export const exceptionApiVersion = 'aegis.dev/policy-exception/v1'

/** An exception may hold for this long at most; who needs it longer changes the policy. */
export const longestExceptionMs = 30 * dayMs

/** For a while, and within its scope, a deny or an approval policy does not hold: two people said so. */
export type ExceptionDocument = {
  apiVersion: typeof exceptionApiVersion
  id: string
  /** Id of the policy that does not hold. */
  policy: string
  actions: string[]
  resources: string[]
  when: Condition
  /** Instants; from inclusive, to exclusive. */
  notBefore: string
  expiresAt: string
  reason: string
  author: string
  /** Somebody else. */
  approvedBy: string
}

/** An allow is not excepted from: narrow it, or let it be. */
export const isMisplaced = ({ policy }: ExceptionDocument, documents: Iterable<PolicyDocument>): boolean =>
  ![...documents].some(({ id, effect }) => id === policy && effect !== 'allow')

export type CompiledException = {
  readonly document: ExceptionDocument
  readonly actions: ReadonlySet<string>
  readonly resources: readonly Glob[]
  readonly when: Node
  readonly times: readonly Pick<TimeTest, 'edge'>[]
  /** Epoch milliseconds. */
  readonly from: number
  readonly to: number
}

export function compileException(document: ExceptionDocument, means: Means, nodes: KnownNodes): CompiledException {
  const when = compileCondition(document.when, 'exception', means, nodes)
  return Object.freeze({
    document,
    actions: new Set(document.actions),
    resources: document.resources.map((text) => compileGlob(text, parseResource(text, true)!.segments)),
    when,
    times: timeTests(when),
    from: parseInstant(document.notBefore)!,
    to: parseInstant(document.expiresAt)!,
  })
}

/** Whether the exception covers this request; unknown where its condition cannot be answered. */
export function excepts({ actions, resources, when, from, to }: CompiledException, input: PolicyInput): Truth {
  if (input.now < from || input.now >= to) return false
  if (!actionKeys(input.action).some((key) => actions.has(key))) return false
  const segments = parseResource(input.resource, false)?.segments ?? []
  return resources.some((glob) => glob.matches(segments)) && when.evaluate(input)
}
