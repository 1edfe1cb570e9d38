/** Callers that sign, and requests as bytes on the wire: every header, path and body may be spoilt on its way. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { request } from 'node:http'
import type { Knex } from 'knex'
import { activateCallerKey, createCallerKey, type CallerKeyDraft } from '../../adapters/postgres/caller-keys.ts'
import { freshId } from '../../adapters/signing.ts'
import { problemSchema, type Problem } from '../../api/problems.ts'
import { callerKey, signRequest, type CallerKey, type SignOptions } from '../../cli/signing.ts'
import type { Principal } from '../../domain/remediation.ts'
import { callerSecrets } from './api.ts'

export type Caller = CallerKey & { caller: string; owner: string; secret: string }

const admin: Principal = { id: 'test', kind: 'person', owner: 'test', roles: ['admin'] }

/** A key behind the API's back, in use unless `pending`. */
export async function callerFor(db: Knex, { pending = false, algorithm = 'hmac-sha256', ...over }: Partial<Omit<CallerKeyDraft, 'material'>> & { pending?: boolean; algorithm?: 'hmac-sha256' | 'ed25519' } = {}): Promise<Caller> {
  const keyId = freshId()
  const caller = over.caller ?? `caller-${keyId.slice(-8)}`
  const owner = over.owner ?? `owner-of-${caller}`
  const { material, secret } = algorithm === 'ed25519' ? ed25519Pair() : hmacSecret(keyId)
  const all = { roles: ['service' as const], actions: ['restart_pod' as const, 'scale_deployment' as const, 'rollback_deployment' as const], namespaces: ['shop', 'demo-*'], maxReplicas: 50, audiences: ['aegis-test'] }
  await createCallerKey(db, { ...all, ...over, keyId, caller, owner, material }, admin)
  if (!pending) await activateCallerKey(db, keyId, admin)
  return { ...callerKey(keyId, secret), caller, owner, secret }
}

function hmacSecret(keyId: string) {
  const secret = callerSecrets.fresh()
  return { material: { algorithm: 'hmac-sha256' as const, ...callerSecrets.seal(keyId, secret) }, secret: `aegis_caller_${secret.toString('base64url')}` }
}

function ed25519Pair() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const material = { algorithm: 'ed25519' as const, publicKey: publicKey.export({ type: 'spki', format: 'der' }) }
  return { material, secret: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}

export type Wire = { method: string; path: string; headers: [name: string, value: string][]; body: string | Buffer }

type ToSign = Partial<SignOptions> & { method?: string; path?: string; body?: string | Buffer; idempotencyKey?: string }

export const scaleTo = (replicas: number, name = 'cart'): string => JSON.stringify({ actionType: 'scale_deployment', actionParams: { namespace: 'shop', deploymentName: name, replicas } })

export function signedWire(by: CallerKey, { method = 'POST', path = '/executor/execute', body = scaleTo(5), idempotencyKey, ...options }: ToSign = {}): Wire {
  const asked = { method, url: path, body, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) }
  const headers = signRequest(asked, by, { audience: 'aegis-test', ...options })
  return { method, path, body, headers: [['Content-Type', 'application/json'], ...Object.entries(headers)] }
}

/** One header's value changed; of an unknown name nothing is. */
export const spoil = (wire: Wire, name: string, change: (value: string) => string): Wire => ({ ...wire, headers: wire.headers.map(([given, value]) => [given, given === name ? change(value) : value]) })
export const withBody = (wire: Wire, body: string | Buffer): Wire => ({ ...wire, body })
/** The body changed, and the digest with it. */
export const withDigest = (wire: Wire, body: string | Buffer): Wire =>
  spoil({ ...wire, body }, 'Content-Digest', () => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`)
export const plus = (wire: Wire, name: string, value: string): Wire => ({ ...wire, headers: [...wire.headers, [name, value]] })

export type WireAnswer = { status: number; code: string; body: Record<string, unknown>; headers: Record<string, string | string[] | undefined>; text: string }

/** Sends exactly these bytes, half of the body after `pauseMs`. A refusal must be a whole problem document. */
export const sendWire = (url: string, { method, path, headers, body }: Wire, { pauseMs = 0 }: { pauseMs?: number } = {}): Promise<WireAnswer> =>
  new Promise((resolve, reject) => {
    const { hostname, port, host } = new URL(url)
    const bytes = Buffer.from(body as string)
    const all = [['Host', host], ['Content-Length', String(bytes.length)], ...headers].flat()
    const sent = request({ hostname, port, method, path, headers: all as unknown as Record<string, string>, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const answer = JSON.parse(text) as Record<string, unknown>
        if ((response.statusCode ?? 0) >= 400) problemSchema.parse(answer)
        resolve({ status: response.statusCode ?? 0, code: String((answer as Problem).code ?? answer['accepted']), body: answer, headers: response.headers, text })
      })
    })
    sent.on('error', reject)
    const half = pauseMs > 0 ? bytes.length >> 1 : bytes.length
    if (half === bytes.length) return void sent.end(bytes)
    sent.write(bytes.subarray(0, half))
    setTimeout(() => sent.end(bytes.subarray(half)), pauseMs)
  })
