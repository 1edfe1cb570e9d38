import { expect, test } from '@jest/globals'
import { createHash } from 'node:crypto'
import { changedMigrations } from './migrations.ts'

const digest = createHash('sha256').update('create table a ()').digest('hex')
const released = { '0001_a.ts': digest }

test.each([
  ['an unchanged migration passes', 'create table a ()', []],
  ['an edited one shows', 'create table a (b int)', [expect.stringContaining('has changed')]],
  ['a removed one shows', undefined, [expect.stringContaining('is gone')]],
])('%s', (_name, text, expected) => expect(changedMigrations(released, () => text)).toEqual(expected))
