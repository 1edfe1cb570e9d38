/** A small OpenID Connect provider over HTTP: discovery, authorization, token and keys, with PKCE and a nonce. */
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

/** Who logs in next, and what is wrong with the answer. */
export type OidcScript = { sub: string; claims?: object; nonce?: string; audience?: string; issuer?: string; foreignKey?: boolean; authTimeS?: number }

/** `says`: in its discovery document, in the place of the truth. `asked`: the paths that were asked of it. */
export type TestOidc = { issuer: string; next: OidcScript; says: Record<string, string>; asked: string[]; clientId: string; close(): Promise<void> }

export async function startOidc(): Promise<TestOidc> {
  const keys = await generateKeyPair('RS256')
  const others = await generateKeyPair('RS256')
  const codes = new Map<string, { challenge: string; nonce: string; redirectUri: string; script: OidcScript }>()
  const server = createServer((request, response) => {
    void answer(request).then(({ status, body, headers = {} }) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider: TestOidc = {
    issuer,
    clientId: 'aegis',
    next: { sub: 'nobody' },
    says: {},
    asked: [],
    close: () => new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    }),
  }

  type Reply = { status: number; body: unknown; headers?: Record<string, string> }
  async function answer(request: IncomingMessage): Promise<Reply> {
    const url = new URL(request.url ?? '/', issuer)
    provider.asked.push(url.pathname)
    if (url.pathname === '/.well-known/openid-configuration') return { status: 200, body: { ...discovery, ...provider.says } }
    if (url.pathname === '/keys') return { status: 200, body: { keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'op', alg: 'RS256', use: 'sig' }] } }
    if (url.pathname === '/authorize') return authorize(url.searchParams)
    if (url.pathname === '/token') return token(new URLSearchParams(await textOf(request)))
    return { status: 404, body: {} }
  }

  const discovery = {
    issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys`,
    response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['S256'], token_endpoint_auth_methods_supported: ['none'],
  }

  function authorize(asked: URLSearchParams): Reply {
    if (asked.get('code_challenge_method') !== 'S256' || !asked.get('nonce') || !asked.get('state')) return { status: 400, body: { error: 'invalid_request' } }
    const code = randomUUID()
    codes.set(code, { challenge: asked.get('code_challenge') ?? '', nonce: asked.get('nonce') ?? '', redirectUri: asked.get('redirect_uri') ?? '', script: provider.next })
    const back = new URL(asked.get('redirect_uri') ?? '')
    back.searchParams.set('code', code)
    back.searchParams.set('state', asked.get('state') ?? '')
    return { status: 302, body: {}, headers: { location: back.href } }
  }

  async function token(asked: URLSearchParams): Promise<Reply> {
    const found = codes.get(asked.get('code') ?? '')
    codes.delete(asked.get('code') ?? '')
    const challenge = createHash('sha256').update(asked.get('code_verifier') ?? '').digest('base64url')
    if (!found || found.challenge !== challenge || found.redirectUri !== asked.get('redirect_uri')) return { status: 400, body: { error: 'invalid_grant' } }
    const { script } = found
    const nowS = Math.floor(Date.now() / 1000)
    const idToken = await new SignJWT({ nonce: script.nonce ?? found.nonce, auth_time: script.authTimeS ?? nowS, ...script.claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'op' })
      .setIssuer(script.issuer ?? issuer)
      .setAudience(script.audience ?? 'aegis')
      .setSubject(script.sub)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(script.foreignKey ? others.privateKey : keys.privateKey)
    return { status: 200, body: { access_token: randomUUID(), token_type: 'Bearer', expires_in: 60, id_token: idToken } }
  }
  return provider
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}
