import { celList, celMap, parse, plan, celEnv, type CelInput } from '@bufbuild/cel'
import { minuteMs } from '../../domain/policy/calendar.ts'
import type { Fact, PolicyInput } from '../../domain/policy/input.ts'

/** What reading facts may cost one evaluation. Each read costs `weight`, long text more. */
export type Meter = { left: number; weight: number }

/** Longer text than any name, label or message here; with it an expression has no answer. */
const mostTextLength = 1024

/** The variables of an expression, each read of them counted by the meter. */
export type MeteredFacts = { variables: Record<string, CelInput>; meter: Meter }

const readTimestamp = plan(celEnv(), parse('timestamp(text)')) as (variables: { text: string }) => CelInput

/** Epoch milliseconds as CEL's timestamp. Throws outside of the years 1 to 9999. */
export const timestampOf = (epochMs: number): CelInput => readTimestamp({ text: new Date(epochMs).toISOString() })

/** Throws where a fact is too long to be asked about. */
export function meteredFacts(input: PolicyInput): MeteredFacts {
  const meter: Meter = { left: 0, weight: 1 }
  const { principal, action, resource, type, context, request, target, history } = input
  const facts = { principal, action, resource, type, context, request, target, history } as unknown as Record<string, Fact>
  const variables = Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, metered(fact, meter)]))
  // Whole minutes, as time windows have them: so an answer is good until the next one.
  const now = timestampOf(Math.floor(input.now / minuteMs) * minuteMs)
  return { variables: { ...variables, now }, meter }
}

/** Whole numbers are ints, others doubles; members that are null are missing, as they are to every other condition. */
function metered(fact: Fact, meter: Meter): CelInput {
  if (typeof fact === 'string') return shortText(fact)
  if (typeof fact === 'number') return Number.isSafeInteger(fact) ? BigInt(fact) : fact
  if (typeof fact !== 'object' || fact === null) return fact
  if (isList(fact)) return celList(new Proxy(fact.map((item) => metered(item, meter)), meteredReads(meter)))
  const entries = Object.entries(fact).filter((entry): entry is [string, NonNullable<Fact>] => (entry[1] ?? null) !== null)
  return celMap(new MeteredMap(entries.map(([key, value]) => [key, metered(value, meter)]), meter))
}

const isList = (fact: Fact): fact is readonly Fact[] => Array.isArray(fact)

function shortText(text: string): string {
  if (text.length > mostTextLength) throw new RangeError(`a fact is longer than ${mostTextLength} characters`)
  return text
}

function spend(meter: Meter, value: unknown): void {
  meter.left -= meter.weight * (typeof value === 'string' ? 1 + value.length / 64 : 1)
  if (meter.left < 0) throw new RangeError('the expression reads too much')
}

const meteredReads = (meter: Meter): ProxyHandler<CelInput[]> => ({
  get(target, key) {
    const value: unknown = Reflect.get(target, key)
    if (key !== 'length' && typeof value !== 'function') spend(meter, value)
    return value
  },
})

/** A map for reading: whoever looks up a member or walks over them pays for it. */
class MeteredMap extends Map<string, CelInput> {
  readonly #meter: Meter

  constructor(entries: readonly [string, CelInput][], meter: Meter) {
    super(entries)
    this.#meter = meter
  }

  override get(key: string): CelInput | undefined {
    const value = super.get(key)
    spend(this.#meter, value)
    return value
  }

  override *entries(): MapIterator<[string, CelInput]> {
    for (const entry of super.entries()) {
      spend(this.#meter, entry[1])
      yield entry
    }
  }

  override *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key
  }

  override *values(): MapIterator<CelInput> {
    for (const [, value] of this.entries()) yield value
  }

  override [Symbol.iterator](): MapIterator<[string, CelInput]> {
    return this.entries()
  }

  override forEach(callback: (value: CelInput, key: string, map: Map<string, CelInput>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this)
  }
}
