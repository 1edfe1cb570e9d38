import { evaluate, parse } from 'cel-js'
import { celExpression, celFacts, type CelFacts } from './cel-expression.ts'
import { oneByOne } from './combine.ts'
import type { Policy } from './workload.ts'

export const load = oneByOne<CelFacts>(celFacts, (policy: Policy) => {
  const parsed = parse(celExpression(policy))
  if (!parsed.isSuccess) throw new Error(parsed.errors.join('; '))
  const { cst } = parsed
  return (facts) => evaluate(cst, facts) === true
})
