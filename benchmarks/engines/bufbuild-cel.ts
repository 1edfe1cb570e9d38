import { celEnv, parse, plan } from '@bufbuild/cel'
import { celExpression, celFacts, type CelFacts } from './cel-expression.ts'
import { oneByOne } from './combine.ts'

const environment = celEnv()

export const load = oneByOne<CelFacts>(celFacts, (policy) => {
  const test = plan(environment, parse(celExpression(policy)))
  return (facts) => test(facts) === true
})
