import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { signatureProblem } from '../api/signature-problems.ts'
import { claimedSignature } from '../domain/request-signature/signature.ts'
import { main } from './main.ts'
import { callerKey, signRequest } from './signing.ts'

const page = readFileSync(new URL('../docs/signing.md', import.meta.url), 'utf8')
const block = (language: string) => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? ''
const vector = block('http')
const script = block('sh')
const keyId = '01890a5d-ac96-774b-bcce-b302099a8057'
const secret = `aegis_caller_${Buffer.from(Array.from({ length: 32 }, (_, at) => at)).toString('base64url')}`
const body = /^body='(.*)'$/m.exec(script)?.[1] ?? ''
const fixed = { createdS: 1_800_000_000, nonce: 'AAECAwQFBgcICQoLDA0ODw' }

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'aegis-signing-'))
  writeFileSync(join(directory, 'key'), `${secret}\n`)
  writeFileSync(join(directory, 'body'), body)
})
afterAll(() => rmSync(directory, { recursive: true }))

const run = async (args: string[]) => {
  let [out, err] = ['', '']
  const code = await main(args, { out: (text) => void (out += text), err: (text) => void (err += text), terminal: false, env: {}, directory })
  return { code, out, err }
}

test('the worked example of docs/signing.md is what the client library signs', () => {
  const headers = signRequest({ method: 'POST', url: 'https://aegis.example.org/executor/execute', body }, callerKey(keyId, secret), { audience: 'aegis-production', ...fixed })
  expect(Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`).join('')).toBe(vector)
})

test('it is what its lines for openssl sign', () => {
  const signed = execFileSync('bash', ['-euc', script], { env: { ...process.env, key_file: join(directory, 'key'), created: String(fixed.createdS), nonce: fixed.nonce }, encoding: 'utf8' })
  expect(signed).toBe(vector)
})

test('it reads as a signature for the server', () => {
  const lines = vector.trimEnd().split('\n').map((line) => line.split(/: (.*)/, 2))
  const claimed = claimedSignature({ method: 'POST', target: '/executor/execute', header: (name) => lines.filter(([given]) => given?.toLowerCase() === name).map(([, value]) => value ?? '') })
  expect(claimed).toMatchObject({ keyId, algorithm: 'hmac-sha256', createdS: fixed.createdS, expiresS: fixed.createdS + 300, audience: 'aegis-production' })
})

test('`aegis sign` asks no Aegis, and prints the headers for curl', async () => {
  const args = ['sign', 'post', '/executor/execute?x=1', '--key-id', keyId, '--key-file', join(directory, 'key'), '--audience', 'aegis-production', '--body', join(directory, 'body'), '--idempotency-key', 'night-1', '--life', '60']
  const { code, out } = await run(args)
  expect(code).toBe(0)
  expect(out.trimEnd().split('\n').map((line) => line.split(':', 1)[0])).toEqual(['Content-Digest', 'Aegis-Audience', 'Idempotency-Key', 'Signature-Input', 'Signature'])
  expect(out).not.toContain(secret)
  expect(Object.keys(JSON.parse((await run([...args, '--json'])).out) as object)).toHaveLength(5)
})

test.each([
  ['without a key', ['sign', 'POST', '/executor/execute', '--audience', 'a'], '--key-id'],
  ['with a secret on the command line', ['sign', 'POST', '/x', '--key-id', keyId, '--key-file', 'aegis_caller_secret', '--audience', 'a'], 'cannot be read'],
  ['with a file that holds no key', ['sign', 'POST', '/x', '--key-id', keyId, '--key-file', 'BODY', '--audience', 'a'], 'holds no key'],
  ['for an hour', ['sign', 'POST', '/x', '--key-id', keyId, '--key-file', 'KEY', '--audience', 'a', '--life', '3600'], '1 to 300'],
  ['of a body that is not there', ['sign', 'POST', '/x', '--key-id', keyId, '--key-file', 'KEY', '--audience', 'a', '--body', 'none'], 'cannot be read'],
])('`aegis sign` %s is bad usage', async (_name, args, message) => {
  const { code, err } = await run(args.map((arg) => ({ KEY: join(directory, 'key'), BODY: join(directory, 'body') })[arg] ?? arg))
  expect([code, err.includes(message)]).toEqual([2, true])
})

test('docs/signing.md names every code with the words of its answer', () => {
  const documented = [...page.matchAll(/^\| `(\w+)` \| (.+) \|$/gm)].map(([, code = '', why = '']) => [code, why] as const).filter(([code]) => /^(signature|digest|two|signatures)_/.test(code))
  expect(documented.length).toBeGreaterThan(25)
  for (const [code, why] of documented) expect(signatureProblem(code as Parameters<typeof signatureProblem>[0]).parts.detail).toBe(why)
  const source = readFileSync(new URL('../api/signature-problems.ts', import.meta.url), 'utf8')
  const known = [...source.matchAll(/^ {2}(\w+): \{ detail/gm)].map(([, code]) => code)
  expect(new Set(known)).toEqual(new Set(documented.map(([code]) => code)))
})
