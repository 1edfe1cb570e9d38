import { createHash, createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from '@jest/globals'
import { verifyEd25519, verifyHmac } from '../../adapters/caller-secrets.ts'
import { callerKey, signRequest, type CallerKey } from '../../cli/signing.ts'
import { playsAll, seed } from '../../tests/helpers/draw.ts'
import { outsideBounds } from './bounds.ts'
import { claimedKeyId, claimedSignature, judgeSignature, signatureLifeS, type JudgedKey, type ReceivedMessage } from './signature.ts'

const nowS = 1_800_000_000
const audience = 'aegis-test'
const keyId = '01890a5d-ac96-774b-bcce-b302099a8057'
const secret = randomBytes(32)
const hmac = callerKey(keyId, `aegis_caller_${secret.toString('base64url')}`)
const pair = generateKeyPairSync('ed25519')
const ed25519: CallerKey = { keyId, key: pair.privateKey }
const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' })

type Sent = { method: string; target: string; headers: [string, string][]; body: string }

const target = '/executor/execute?trace=1'
const body = '{"actionType":"restart_pod","actionParams":{"namespace":"shop","podName":"cart-1"}}'

function signed(by: CallerKey = hmac, over: Partial<{ createdS: number; lifeS: number; audience: string; idempotencyKey: string }> = {}): Sent {
  const { idempotencyKey, ...options } = over
  const request = { method: 'POST', url: target, body, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) }
  const headers = signRequest(request, by, { audience, createdS: nowS, ...options })
  return { method: 'POST', target, headers: Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]), body }
}

const message = ({ method, target: path, headers }: Sent): ReceivedMessage => ({ method, target: path, header: (name) => headers.filter(([given]) => given === name).map(([, value]) => value) })
const withHeader = (sent: Sent, name: string, change: (value: string) => string): Sent => ({ ...sent, headers: sent.headers.map(([given, value]) => [given, given === name ? change(value) : value]) })

const keyOf = (over: Partial<JudgedKey> = {}): JudgedKey => ({ algorithm: 'hmac-sha256', state: 'active', retiresAtMs: null, audiences: [audience], ...over })

/** What the API does with a message, without the API. */
function answer(sent: Sent, key: JudgedKey | undefined = keyOf(), nowMs = nowS * 1_000): string {
  const claimed = claimedSignature(message(sent))
  if (typeof claimed === 'string') return claimed
  const verify = () => (key?.algorithm === 'ed25519' ? verifyEd25519(publicKey, claimed.base, claimed.signature) : verifyHmac(secret, claimed.base, claimed.signature))
  const refusal = judgeSignature(claimed, claimed.keyId === keyId ? key : undefined, { audience, nowMs }, verify)
  if (refusal) return refusal
  return createHash('sha256').update(sent.body).digest('base64') === claimed.digest ? 'accepted' : 'digest_mismatch'
}

test('what the client library signs is accepted, with a secret and with a private key', () => {
  expect(answer(signed())).toBe('accepted')
  expect(answer(signed(ed25519), keyOf({ algorithm: 'ed25519' }))).toBe('accepted')
  expect(answer(signed(hmac, { idempotencyKey: '5f0c' }))).toBe('accepted')
})

const input = (change: (value: string) => string) => withHeader(signed(), 'signature-input', change)
const value = (change: (value: string) => string) => withHeader(signed(), 'signature', change)
const without = (name: string): Sent => ({ ...signed(), headers: signed().headers.filter(([given]) => given !== name) })
const again = (name: string): Sent => ({ ...signed(), headers: [...signed().headers, ...signed().headers.filter(([given]) => given === name)] })

test.each<[string, Sent, string]>([
  ['without `Signature`', without('signature'), 'signature_incomplete'],
  ['without `Signature-Input`', without('signature-input'), 'signature_incomplete'],
  ['with an empty `Signature`', value(() => ''), 'signature_empty'],
  ['with no bytes', value(() => 'sig1=::'), 'signature_empty'],
  ['in hex', value(() => `sig1=:${'ab'.repeat(32)}:`), 'signature_length'],
  ['cut short', value((text) => text.replace(/.{9}:$/, '=:')), 'signature_length'],
  ['in base64url', value(() => `sig1=:${'_'.repeat(43)}=:`), 'signature_encoding'],
  ['in base64 with bits left over', value(() => `sig1=:${'A'.repeat(42)}B=:`), 'signature_encoding'],
  ['as a token', value(() => 'sig1=abc'), 'signature_encoding'],
  ['with a signature of another label', value((text) => text.replace('sig1', 'sig2')), 'signature_ambiguous'],
  ['with two labels in `Signature-Input`', input((text) => `${text}, sig2=()`), 'signature_ambiguous'],
  ['with two labels, comma first', input((text) => `${text},${text.replace('sig1', 'sig2')}`), 'signature_ambiguous'],
  ['with two labels in `Signature`', value((text) => `${text},${text.replace('sig1', 'sig2')}`), 'signature_ambiguous'],
  ['with two `Signature` headers', again('signature'), 'signature_ambiguous'],
  ['with two `Signature-Input` headers', again('signature-input'), 'signature_ambiguous'],
  ['with two `Content-Digest` headers', again('content-digest'), 'signature_ambiguous'],
  ['with two `Aegis-Audience` headers', again('aegis-audience'), 'signature_ambiguous'],
  ['that covers no body', input((text) => text.replace(' "content-digest"', '')), 'signature_coverage'],
  ['that covers the method twice', input((text) => text.replace('"@path"', '"@method"')), 'signature_coverage'],
  ['that covers one thing more', input((text) => text.replace('"@query"', '"@query" "@authority"')), 'signature_coverage'],
  ['that covers in another order', input((text) => text.replace('"@method" "@path"', '"@path" "@method"')), 'signature_coverage'],
  ['that covers nothing', input((text) => text.replace(/\(.*\)/, '()')), 'signature_malformed'],
  ['with a component parameter', input((text) => text.replace('"@path"', '"@path";req')), 'signature_malformed'],
  ['with an `Idempotency-Key` that is not covered', { ...signed(), headers: [...signed().headers, ['idempotency-key', 'x']] }, 'signature_coverage'],
  ['without a nonce', input((text) => text.replace(/;nonce="[^"]*"/, '')), 'signature_parameters'],
  ['with a parameter more', input((text) => `${text};extra=1`), 'signature_parameters'],
  ['with a parameter twice', input((text) => `${text};created=1`), 'signature_malformed'],
  ['with a time in quotes', input((text) => text.replace(/created=(\d+)/, 'created="$1"')), 'signature_parameters'],
  ['with a negative time', input((text) => text.replace(/created=\d+/, 'created=-1')), 'signature_malformed'],
  ['with a time with leading zeros', input((text) => text.replace(/created=/, 'created=0')), 'signature_malformed'],
  ['with a decimal time', input((text) => text.replace(/(created=\d+)/, '$1.0')), 'signature_malformed'],
  ['with a short nonce', input((text) => text.replace(/nonce="[^"]*"/, 'nonce="abc"')), 'signature_nonce'],
  ['with an algorithm that is none', input((text) => text.replace('hmac-sha256', 'none')), 'signature_algorithm'],
  ['with the other algorithm', input((text) => text.replace('hmac-sha256', 'ed25519')), 'signature_length'],
  ['with another tag', input((text) => text.replace('aegis-action-v1', 'aegis-action-v2')), 'signature_tag'],
  ['that lives too long', input((text) => text.replace(/expires=\d+/, `expires=${nowS + signatureLifeS + 1}`)), 'signature_lifetime'],
  ['that ends before it begins', input((text) => text.replace(/expires=\d+/, `expires=${nowS}`)), 'signature_lifetime'],
  ['of a key we do not know', input((text) => text.replace(keyId, '01890a5d-ac96-774b-bcce-b302099a8058')), 'signature_key_unknown'],
  ['without an audience', without('aegis-audience'), 'signature_audience'],
  ['without a digest', without('content-digest'), 'digest_missing'],
  ['with a digest of another kind', withHeader(signed(), 'content-digest', (text) => text.replace('sha-256', 'sha-512')), 'digest_malformed'],
  ['with two digests', withHeader(signed(), 'content-digest', (text) => `${text},${text}`), 'digest_malformed'],
  ['whose body was changed', { ...signed(), body: body.replace('cart-1', 'cart-2') }, 'digest_mismatch'],
  ['whose body and digest were changed', withHeader({ ...signed(), body: '{}' }, 'content-digest', () => `sha-256=:${createHash('sha256').update('{}').digest('base64')}:`), 'signature_invalid'],
  ['with a longer `Signature-Input` than any', input((text) => text + ' '.repeat(2_000)), 'signature_malformed'],
])('a message %s is refused', (_name, sent, code) => expect(answer(sent)).toBe(code))

test.each<[string, Partial<JudgedKey>, string]>([
  ['pending', { state: 'pending' }, 'signature_key_pending'],
  ['revoked', { state: 'revoked' }, 'signature_key_revoked'],
  ['retiring, within its overlap', { state: 'retiring', retiresAtMs: nowS * 1_000 + 1 }, 'accepted'],
  ['retiring, at the end of its overlap', { state: 'retiring', retiresAtMs: nowS * 1_000 }, 'signature_key_retired'],
  ['retiring without an end', { state: 'retiring' }, 'signature_key_retired'],
  ['of another audience', { audiences: ['aegis-staging'] }, 'signature_audience'],
  ['of no audience', { audiences: [] }, 'signature_audience'],
  ['of the other algorithm', { algorithm: 'ed25519' }, 'signature_algorithm'],
])('a key that is %s', (_name, over, code) => expect(answer(signed(), keyOf(over))).toBe(code))

describe('by one clock', () => {
  test.each([
    ['299 s ahead', 299, 'accepted'],
    ['300 s ahead', 300, 'accepted'],
    ['301 s ahead', 301, 'signature_not_yet_valid'],
    ['299 s behind', -299, 'accepted'],
    ['300 s behind', -300, 'signature_expired'],
    ['301 s behind', -301, 'signature_expired'],
  ])('a caller %s', (_name, offsetS, code) => expect(answer(signed(hmac, { createdS: nowS + offsetS }))).toBe(code))
})

test('nothing is said of audience or time before the signature holds', () => {
  const forged = withHeader(signed(hmac, { createdS: nowS - 4_000, audience: 'elsewhere' }), 'signature', () => `sig1=:${'A'.repeat(43)}=:`)
  expect(answer(forged)).toBe('signature_invalid')
})

test('whose key a call names is read from what is otherwise refused', () => {
  expect(claimedKeyId(message(input((text) => text.replace('hmac-sha256', 'none'))))).toBe(keyId)
  expect(claimedKeyId(message(without('signature-input')))).toBeNull()
})

test.each([
  ['an action it does not name', { action: 'rollback_deployment' }, 'key_not_for_action'],
  ['a namespace it does not name', { namespace: 'bank' }, 'key_not_for_namespace'],
  ['a cluster it does not name', { namespace: 'shop', cluster: 'edge' }, 'key_not_for_namespace'],
  ['more replicas', { parameters: { replicas: 6 } }, 'key_not_for_replicas'],
  ['what it names', {}, undefined],
] as const)('a key asks for %s', (_name, over, refusal) => {
  const { action = 'scale_deployment', namespace = 'shop', cluster = 'main', parameters = { replicas: 5 } } = over as Record<string, never>
  expect(outsideBounds({ actions: ['scale_deployment'], namespaces: ['main/shop'], maxReplicas: 5 }, { action, target: { cluster, namespace }, parameters })).toBe(refusal)
})

test('a key without namespaces asks for nothing', () => {
  expect(outsideBounds({ actions: ['restart_pod'], namespaces: [], maxReplicas: 0 }, { action: 'restart_pod', target: { cluster: 'main', namespace: 'shop' }, parameters: {} })).toBe('key_not_for_namespace')
})

describe('S2', () => {
  const runs = playsAll ? 20_000 : 1_000
  const covered = ['signature', 'signature-input', 'content-digest', 'aegis-audience', 'idempotency-key']
  const byte = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code))
  /** One byte of a text replaced, taken out, put in or doubled; undefined where that changes nothing. */
  const spoilt = (text: string, at: number, how: number, with_: string): string | undefined => {
    const place = at % (text.length + 1)
    const changed = [text.slice(0, place) + with_ + text.slice(place + 1), text.slice(0, place) + text.slice(place + 1), text.slice(0, place) + with_ + text.slice(place), text.slice(0, place) + (text[place] ?? '') + text.slice(place)][how % 4]
    return changed === text ? undefined : changed
  }
  const change = fc.record({ where: fc.constantFrom('method', 'target', 'body', ...covered), at: fc.nat(2_000), how: fc.nat(3), with_: byte, by: fc.constantFrom('hmac', 'ed25519') })

  test(`no request with one byte changed is accepted (seed ${seed}, ${runs} runs)`, () => {
    let played = 0
    fc.assert(
      fc.property(change, ({ where, at, how, with_, by }) => {
        const [key, judged] = by === 'hmac' ? [hmac, keyOf()] : [ed25519, keyOf({ algorithm: 'ed25519' as const })]
        const whole = signed(key, { idempotencyKey: 'key-1' })
        const text = where === 'method' || where === 'target' || where === 'body' ? whole[where] : (whole.headers.find(([name]) => name === where)?.[1] ?? '')
        const changed = spoilt(text, at, how, with_)
        if (changed === undefined) return
        played += 1
        const sent = where in whole ? { ...whole, [where]: changed } : withHeader(whole, where, () => changed)
        expect(answer(sent, judged)).not.toBe('accepted')
      }),
      { numRuns: runs, seed },
    )
    expect(played).toBeGreaterThan(runs * 0.9)
  })

  test(`no text of any kind in the place of a field is accepted, or makes the reader fail (${runs} runs)`, () => {
    fc.assert(
      fc.property(fc.constantFrom(...covered.slice(0, 4)), fc.oneof(fc.string({ maxLength: 200 }), fc.stringMatching(/^sig1=\("@method"[ ;"a-z0-9=()@,:-]{0,120}$/)), (where, text) => {
        expect(answer(withHeader(signed(), where, () => text))).not.toBe('accepted')
      }),
      { numRuns: runs, seed },
    )
  })
})

test('a reader of hostile fields takes linear time', () => {
  const begun = performance.now()
  for (const text of ['('.repeat(1_000_000), `sig1=(${'"a" '.repeat(200_000)})`, `sig1=()${';a=1'.repeat(200_000)}`, `sig1=("${'\\'.repeat(1_000_000)}`]) {
    expect(answer(input(() => text))).toBe('signature_malformed')
    expect(answer(value(() => text))).toBe('signature_encoding')
  }
  expect(performance.now() - begun).toBeLessThan(500)
})

test('the client refuses a life that no server takes, and a key that is none', () => {
  expect(() => signRequest({ method: 'POST', url: '/' }, hmac, { audience, lifeS: 301 })).toThrow('1 to 300')
  expect(() => callerKey(keyId, 'aegis_caller_short')).toThrow('neither')
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  expect(() => callerKey(keyId, String(other))).toThrow('not an Ed25519 key')
  const pem = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  expect(createPublicKey(createPrivateKey(pem)).export({ type: 'spki', format: 'der' }).equals(publicKey)).toBe(true)
  expect(answer(signed(callerKey(keyId, pem)), keyOf({ algorithm: 'ed25519' }))).toBe('accepted')
  expect(createHmac('sha256', hmac.key).update('x').digest().equals(createHmac('sha256', secret).update('x').digest())).toBe(true)
})
