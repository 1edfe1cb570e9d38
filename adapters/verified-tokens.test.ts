import { expect, test } from '@jest/globals'
import { verifiedTokens } from './verified-tokens.ts'

const verified = (name: string) => ({ claims: name, fromS: 100, untilS: 200 })

test.each([
  ['before it holds', 99, undefined],
  ['from its beginning', 100, 'ann'],
  ['in its last second', 199, 'ann'],
  ['from its end on', 200, undefined],
])('a token that was found good is told of %s: at %d %s', (_name, nowS, told) => {
  const tokens = verifiedTokens<string>()
  tokens.keep('a.b.c', verified('ann'))
  expect(tokens.find('a.b.c', nowS)).toBe(told)
})

test('a token that differs in anything is another one', () => {
  const tokens = verifiedTokens<string>()
  tokens.keep('a.b.c', verified('ann'))
  for (const other of ['a.b.C', 'a.b.c ', 'a.b.c=', 'a.b', '']) expect(tokens.find(other, 150)).toBeUndefined()
})

test('at most so many are known, and the oldest goes first', () => {
  const tokens = verifiedTokens<string>(2)
  for (const name of ['ann', 'ben', 'cid']) tokens.keep(name, verified(name))
  expect(['ann', 'ben', 'cid'].map((name) => tokens.find(name, 150))).toEqual([undefined, 'ben', 'cid'])
})
