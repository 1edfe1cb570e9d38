import { CelScalar, celEnv, celFunc, celMethod, objectType, parse, plan, type CelFunc, type CelInput } from '@bufbuild/cel'
import { daysFromCivil } from '../../domain/policy/calendar.ts'
import type { ExpressionCompiler } from '../../domain/policy/expression.ts'
import type { PolicyInput } from '../../domain/policy/input.ts'
import type { Wall } from '../../domain/policy/time.ts'
import type { Truth } from '../../domain/policy/truth.ts'
import { meteredFacts, timestampOf, type MeteredFacts } from './cel-facts.ts'
import { measure, type ExpressionSize } from './cel-limits.ts'
import { factsRead } from './cel-reads.ts'
import { wallClock } from './zones.ts'

/**
 * CEL as a condition's leaf. Its cost is bounded by construction: an expression has at most 200 nodes
 * and one loop (cel-limits.ts), it cannot make a text longer than those it is given, and every read of
 * a fact is paid from a budget (cel-facts.ts), a read inside a loop with as much as the whole body. So
 * it evaluates some tens of thousands of nodes at most, whatever the facts are.
 */
export const compileCel: ExpressionCompiler = (expression) => {
  try {
    const parsed = parse(expression)
    const { size, problem } = measure(parsed.expr)
    if (problem !== undefined) return { problem }
    const program = plan(celEnvironment, parsed) as Program
    return { test: { readsNow: size.readsNow, reads: factsRead(parsed.expr), evaluate: (input) => ask(program, size, input) } }
  } catch (error) {
    return { problem: `is no CEL expression: ${parseProblem(error as Error)}` }
  }
}

/** `<input>:1:5: found …`, of which the place and the first words help. A full stack is a RangeError. */
const parseProblem = ({ name, message }: Error): string => (name === 'RangeError' ? 'it nests too deep' : message.replace('<input>:', '').slice(0, 100))

type Program = (variables: Record<string, CelInput>) => unknown

/** Reads, in units of evaluated nodes. */
const mostWork = 50_000

function ask(program: Program, size: ExpressionSize, input: PolicyInput): Truth {
  try {
    const { variables, meter } = factsOf(input)
    meter.left = mostWork
    meter.weight = size.loops > 0 ? size.nodes : 1
    const answer = program(variables)
    // An error inside may have been settled by what stands beside it; an empty budget settles nothing.
    return typeof answer === 'boolean' && meter.left >= 0 ? answer : 'unknown'
  } catch {
    return 'unknown'
  }
}

/** The facts of an input are made ready once for all expressions that ask it. */
const ready = new WeakMap<PolicyInput, MeteredFacts>()

function factsOf(input: PolicyInput): MeteredFacts {
  const known = ready.get(input)
  if (known) return known
  const facts = meteredFacts(input)
  ready.set(input, facts)
  return facts
}

const { BOOL, BYTES, INT, STRING } = CelScalar
const timestampType = objectType('google.protobuf.Timestamp')

/** What the wall shows, by the zones that time windows use: the library's own depend on the zone of the process. */
const wallFields: Record<string, (wall: Wall) => number> = {
  getFullYear: ({ year }) => year,
  getMonth: ({ month }) => month - 1,
  getDate: ({ day }) => day,
  getDayOfMonth: ({ day }) => day - 1,
  getDayOfWeek: ({ weekday }) => (weekday + 1) % 7,
  getDayOfYear: ({ year, month, day }) => daysFromCivil(year, month, day) - daysFromCivil(year, 1, 1),
  getHours: ({ minuteOfDay }) => Math.floor(minuteOfDay / 60),
  getMinutes: ({ minuteOfDay }) => minuteOfDay % 60,
}

type Timestamp = { message: { seconds: bigint } }

function wallField(value: Timestamp, zone: string, read: (wall: Wall) => number): bigint {
  const wall = wallClock(zone, Number(value.message.seconds) * 1000)
  if (!wall) throw new RangeError(`no time known in ${zone}`)
  return BigInt(read(wall))
}

const wallFunctions: CelFunc[] = Object.entries(wallFields).flatMap(([name, read]) => [
  celMethod(name, timestampType, [], INT, function () { return wallField(this as unknown as Timestamp, 'UTC', read) }),
  celMethod(name, timestampType, [STRING], INT, function (zone) { return wallField(this as unknown as Timestamp, zone, read) }),
])

const refuse = (): never => {
  throw new TypeError('text is not joined here')
}

/** RE2 takes time in proportion to the text. */
const mostMatchedLength = 256
const plainMatch = plan(celEnv(), parse('text.matches(pattern)')) as Program

/** The language as it is asked here. */
export const celEnvironment = celEnv({
  funcs: [
    ...wallFunctions,
    // Seconds, as the language has it; the library takes milliseconds.
    celFunc('timestamp', [INT], timestampType, (seconds) => timestampOf(Number(seconds) * 1000) as CelInput<typeof timestampType>),
    celFunc('_+_', [STRING, STRING], STRING, refuse),
    celFunc('_+_', [BYTES, BYTES], BYTES, refuse),
    celMethod('matches', STRING, [STRING], BOOL, function (pattern) {
      if (this.length > mostMatchedLength) throw new RangeError(`a pattern is asked of at most ${mostMatchedLength} characters`)
      return plainMatch({ text: String(this), pattern }) as boolean
    }),
  ],
})
