import type { PolicyInput } from './input.ts'
import type { Truth } from './truth.ts'

/** A CEL expression, ready to be asked. `evaluate` never throws and its cost is bounded: what goes wrong is unknown. */
export type ExpressionTest = {
  evaluate(input: PolicyInput): Truth
  /** Whether it reads `now`, which is the running minute: then no answer is good for longer. */
  readsNow: boolean
  /** The facts it names, as keys: `[['context', 'team']]`. */
  reads: readonly (readonly string[])[]
}

/** Turns text into a test, or says why it is refused. The library for it lives outside. */
export type ExpressionCompiler = (expression: string) => { test: ExpressionTest; problem?: undefined } | { test?: undefined; problem: string }
