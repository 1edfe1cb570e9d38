import { expect, test } from '@jest/globals'
import { unsafe, unsafeLines } from './unsafe.ts'

test.each([
  ['another program', `import { spawn } from 'node:child_process'`],
  ['eval', 'eval(text)'],
  ['a function made of text', 'new Function(text)'],
  ['vm', `import vm from 'node:vm'`],
  ['MD5', `createHash('md5')`],
  ['SHA-1 in a MAC', `createHmac('sha1', key)`],
  ['ECB', `createCipheriv('aes-256-ecb', key, null)`],
  ['a mode without a tag', `createDecipheriv('aes-256-cbc', key, iv)`],
  ['RSA encryption', 'publicEncrypt(key, bytes)'],
  ['guessable randomness', 'const id = Math.random()'],
  ['markup', 'element.innerHTML = text'],
  ['XML', `import { parse } from 'fast-xml-parser'`],
  ['mail', `import mail from 'nodemailer'`],
  ['certificates that nobody checks', 'tls({ rejectUnauthorized: false })'],
])('%s is a finding', (_name, line) => {
  expect(unsafeLines('api/new.ts', `\n${line}\n`)).toEqual([expect.stringMatching(/^api\/new\.ts:2: uses /)])
})

test.each([`createCipheriv('aes-256-gcm', key, nonce)`, `createHash('sha256')`, 'randomBytes(32)', 'retrieval(text)'])('%s is none', (line) => {
  expect(unsafeLines('api/new.ts', line)).toEqual([])
})

test('the product starts no program, runs no text, and uses no cryptography that is broken or guessable', async () => {
  expect(await unsafe.run(process.cwd())).toEqual([])
})
