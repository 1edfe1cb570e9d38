/**
 * Every call that the execution worker makes for one remediation between taking a task and reporting it, and how a
 * proxy on its way tells it from all others.
 */
import type { ApiRule } from '../../sandbox/faults/http-proxy.ts'
import type { StatementRule } from '../../sandbox/faults/postgres-proxy.ts'
import { withResolvers, type Act, type Phase, type Then, type Trap } from '../../sandbox/faults/traps.ts'
import type { Proxies } from '../helpers/faulty-aegis.ts'
import type { ActionName } from '../../domain/remediation.ts'

export type Wires = Pick<Proxies, 'executor' | 'postgres' | 'temporal'>
export type Journey = { id: string; namespace: string }

type Caught = Act<unknown>
type Arm = (phase: Phase, act: Caught) => unknown
type CallOf = (wires: Wires, journey: Journey) => Arm

const inNamespace = (namespace: string) => new RegExp(`/namespaces/${namespace}/`)
const execution = /^aegis-execution/

const kubernetes = (rule: Omit<ApiRule, 'phase' | 'path'>): CallOf => ({ executor }, { namespace }) => (phase, act) =>
  executor.arm({ ...rule, path: inNamespace(namespace), phase }, act)

const statement = (sql: RegExp, ...values: RegExp[]): CallOf => ({ postgres }, { id }) => (phase, act) =>
  postgres.arm({ application: execution, sql, values: [new RegExp(`^${id}$`), ...values], phase }, act)

const commit = (sql: RegExp, ...values: RegExp[]): CallOf => ({ postgres }, { id }) => (phase, act) =>
  postgres.arm({ application: execution, commitOf: { sql, values: [new RegExp(`^${id}$`), ...values] }, phase }, act)

const completion = (result: RegExp): CallOf => ({ temporal }, { id }) => (phase, act) =>
  temporal.arm({ method: /^RespondActivityTaskCompleted$/, text: [new RegExp(id), result], phase }, act)

/** A call that looks like others of its kind is the first of them after something that comes just before it. */
const after = (earlier: StatementRule, call: CallOf): CallOf => (wires, journey) => (phase, act) =>
  wires.postgres.arm({ ...earlier, application: execution, values: [new RegExp(`^${journey.id}$`), ...(earlier.values ?? [])] }, () => void call(wires, journey)(phase, act))

const atOnce = { phase: 'before_send' } as const

/** In the order in which they are made. */
export const calls = {
  'kubernetes preflight': kubernetes({ query: /dryRun=All/ }),
  'postgres savePreflight': statement(/insert into ledger\.preflight/),
  'postgres recordStep(validateSignature)': statement(/ledger\.append/, /^step\/validateSignature\//),
  'postgres recordIntent': commit(/insert into ledger\.intent/),
  'temporal complete(recordIntent)': completion(/the act is on record/),
  'kubernetes read': after({ sql: /ledger\.append/, values: [/^step\/recordIntent\//], ...atOnce }, kubernetes({ method: 'GET' })),
  'postgres beginAttempt': commit(/update ledger\.intent set state = 'sent'/, /^act$/),
  'kubernetes mutate': kubernetes({ effective: true }),
  'postgres settleIntent(statement)': statement(/update ledger\.intent set state = 'settled'/, /^act$/),
  'postgres settleIntent': commit(/update ledger\.intent set state = 'settled'/, /^act$/),
  'temporal complete(executeAction)': completion(/"effect":"(applied|presumed)"/),
  'kubernetes health': after({ sql: /update ledger\.request set phase/, values: [/^verifying$/], ...atOnce }, kubernetes({ method: 'GET' })),
  'postgres saveVerification': statement(/insert into ledger\.verification/),
} satisfies Record<string, CallOf>

/** Those of the undo, which only a change that made things worse comes to. */
export const undoCalls = {
  'postgres recordIntent(undo)': commit(/insert into ledger\.intent/, /^undo$/),
  'postgres beginAttempt(undo)': commit(/update ledger\.intent set state = 'sent'/, /^undo$/),
  'kubernetes mutate(undo)': after({ sql: /insert into ledger\.intent/, values: [/^undo$/], ...atOnce }, kubernetes({ effective: true })),
  'postgres settleIntent(undo, statement)': statement(/update ledger\.intent set state = 'settled'/, /^undo$/),
  'postgres settleIntent(undo)': commit(/update ledger\.intent set state = 'settled'/, /^undo$/),
} satisfies Record<string, CallOf>

export type CallName = keyof typeof calls | keyof typeof undoCalls
const all: Record<CallName, CallOf> = { ...calls, ...undoCalls }

export type CrashPoint = { action: ActionName; call: CallName; phase: Phase }

/** The worker stands still at this point of this remediation once `reached`, until it is let go or killed. */
export type Stop = { reached: Promise<void>; letGo(then: Then): void }

/**
 * After the reply and before the record means: the worker has the answer, and the next thing it tries to say about
 * this remediation to anybody is not said any more.
 */
export function stopAt(wires: Wires, journey: Journey, { call, phase }: Pick<CrashPoint, 'call' | 'phase'>): Stop {
  const reached = withResolvers<void>()
  const gate = withResolvers<Then>()
  const hold = () => {
    reached.resolve()
    return gate.promise
  }
  const arm = all[call](wires, journey)
  if (phase === 'after_reply') arm('after_send', () => armNextCall(wires, journey, hold))
  else arm(phase, hold)
  return { reached: reached.promise, letGo: gate.resolve }
}

/** Whichever wire it takes. Called while the reply is withheld, so that the next call cannot slip through. */
function armNextCall({ executor, postgres, temporal }: Wires, { id, namespace }: Journey, hold: () => Promise<Then>): void {
  const traps: Pick<Trap<unknown>, 'disarm'>[] = []
  const first = () => {
    for (const trap of traps) trap.disarm()
    return hold()
  }
  traps.push(
    executor.arm({ path: inNamespace(namespace), ...atOnce }, first),
    postgres.arm({ application: execution, values: [new RegExp(`^${id}$`)], ...atOnce }, first),
    temporal.arm({ method: /^RespondActivityTask/, text: [new RegExp(id)], ...atOnce }, first),
  )
}
