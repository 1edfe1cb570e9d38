import { getConformanceSuite, type IncrementalTestSuite } from '@bufbuild/cel-spec/testdata/tests.js'
import type { PolicyInput } from '../../domain/policy/input.ts'
import type { Truth } from '../../domain/policy/truth.ts'
import { compileCel } from './cel.ts'

// CEL's own conformance tests, those whose answer a leaf can give (true, false or an error) and that bring no variables of their own.
const nobody = {
  principal: { id: 'a', kind: 'service', owner: 'a', roles: [] }, action: 'a:b', resource: 'api:/a', type: 'api_access',
  context: {}, request: {}, target: {}, history: {}, approvals: [], now: 0, tzdata: 'test',
} satisfies PolicyInput

type Case = { suite: string; name: string; expression: string; wanted: Truth }

function casesOf({ name: suite, tests, suites }: IncrementalTestSuite, top = suite): Case[] {
  const own = tests.flatMap(({ name, original }): Case[] => {
    const { bindings, typeEnv, container, resultMatcher: result, expr: expression } = original
    if (Object.keys(bindings).length > 0 || typeEnv.length > 0 || container !== '') return []
    const at = { suite: top, name: `${suite}/${name}`, expression }
    if (result.case === 'evalError') return [{ ...at, wanted: 'unknown' }]
    if (result.case === undefined) return [{ ...at, wanted: true }]
    return result.case === 'value' && result.value.kind.case === 'boolValue' ? [{ ...at, wanted: result.value.kind.value }] : []
  })
  return [...own, ...suites.flatMap((inner) => casesOf(inner, top))]
}

const cases = getConformanceSuite().suites.flatMap((suite) => casesOf(suite))

test('each of CEL’s conformance tests that a leaf takes is answered as the language has it; the rest are refused', () => {
  const wrong: object[] = []
  const passed: Record<string, number> = {}
  let refused = 0
  for (const { suite, name, expression, wanted } of cases) {
    const { test: leaf } = compileCel(expression)
    const given = leaf?.evaluate(nobody)
    if (given === undefined) refused += 1
    else if (given === wanted) passed[suite] = (passed[suite] ?? 0) + 1
    else wrong.push({ name, expression, wanted, given })
  }
  expect(wrong).toEqual([])
  // Pinned, so that a new version of the library that takes fewer is noticed.
  expect({ passed, refused }).toEqual({
    passed: {
      basic: 2, comparisons: 324, conversions: 30, fields: 26, fp_math: 6, integer_math: 29, lists: 25, logic: 27,
      macros: 33, parse: 4, plumbing: 1, string: 31, timestamps: 42,
    },
    refused: 393,
  })
})
