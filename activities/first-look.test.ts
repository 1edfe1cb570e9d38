import { expect, test } from '@jest/globals'
import type { Observation } from '../domain/actions/observation.ts'
import { firstLooks } from './first-look.ts'

const seen = (name: string) => ({ target: { name } }) as unknown as Observation

test('what was seen is given once, to its own remediation', () => {
  const looks = firstLooks(() => 0)
  looks.keep('one', seen('web'))
  expect(looks.take('two')).toBeUndefined()
  expect(looks.take('one')).toEqual(seen('web'))
  expect(looks.take('one')).toBeUndefined()
})

test('what was seen more than a second ago is looked at again', () => {
  let nowMs = 0
  const looks = firstLooks(() => nowMs)
  looks.keep('one', seen('web'))
  nowMs = 1_001
  expect(looks.take('one')).toBeUndefined()
})

test('looks that nobody takes do not pile up', () => {
  const looks = firstLooks(() => 0)
  for (let count = 0; count <= 100; count++) looks.keep(`${count}`, seen(`${count}`))
  expect(looks.take('0')).toBeUndefined()
  expect(looks.take('100')).toEqual(seen('100'))
})
