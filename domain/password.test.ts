import fc from 'fast-check'
import { longestPassword, passwordProblem, shortestPassword } from './password.ts'

const isCommon = (lowerCase: string) => lowerCase === 'trustno1'
const problem = (password: string, username = 'ann@example.org') => passwordProblem(password, { username, isCommon })

test.each<[string, string, boolean]>([
  ['a sentence', 'a walk along the quiet river', true],
  ['eight characters without any rule of composition', 'kvxqzjwp', true],
  ['eight characters that take more bytes', '日本語の合言葉だ', true],
  ['128 characters', 'abcd'.repeat(32), true],
  ['seven characters', 'kvxqzjw', false],
  ['129 characters', `${'abcd'.repeat(32)}e`, false],
  ['what is tried first', 'trustno1', false],
  ['the same in capitals', 'TrustNo1', false],
  ['one character many times', 'aaaaaaaaaaaaaaaa', false],
  ['one’s name and a little', 'ann@example.org1', false],
  ['the product and a little', 'aegis-2026', false],
  ['the product inside a sentence', 'aegis watches the quiet river', true],
])('%s', (_name, password, good) => expect(problem(password) === undefined).toBe(good))

test('whatever is accepted has a length within the bounds', () => {
  fc.assert(fc.property(fc.string({ maxLength: 160 }), (password) => {
    const length = [...password].length
    return problem(password) !== undefined || (length >= shortestPassword && length <= longestPassword)
  }), { numRuns: 1_000 })
})
