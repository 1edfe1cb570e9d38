import { Environment } from '@marcbachmann/cel-js'
import { celExpression, celFacts, type CelFacts } from './cel-expression.ts'
import { oneByOne } from './combine.ts'

const environment = new Environment()
for (const name of ['action', 'actionKind', 'cluster', 'ns', 'kind', 'name', 'role']) environment.registerVariable(name, 'string')
for (const name of ['severity', 'day', 'minute']) environment.registerVariable(name, 'double')

export const load = oneByOne<CelFacts>(celFacts, (policy) => {
  const test = environment.parse(celExpression(policy))
  return (facts) => test(facts) === true
})
