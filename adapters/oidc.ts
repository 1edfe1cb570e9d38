/** Logging in at somebody else's: OpenID Connect, authorization code with PKCE. */
import { readFileSync } from 'node:fs'
import * as client from 'openid-client'
import { Failure } from '../domain/failure.ts'
import type { Binding } from '../domain/remediation.ts'
import { outgoing, type Outgoing } from './outgoing/fetch.ts'

export type OidcSettings = {
  issuer: string
  /** Besides the issuer's own: where its token endpoint and keys may be. */
  origins: readonly string[]
  clientId: string
  clientSecretFile: string | undefined
  /** Where the provider sends people back to. */
  redirectUri: string
  /** The claim that lists groups. */
  groupsClaim: string
  /** What members of a group may do. */
  roleMap: ReadonlyMap<string, readonly Binding[]>
}

/** What has to survive until the person comes back, in the person's own browser. */
export type OidcFlow = { state: string; nonce: string; verifier: string }
export type OidcIdentity = { issuer: string; sub: string; username: string; displayName: string; groups: string[]; bindings: Binding[] }

export type OidcProvider = {
  start(): Promise<{ url: string; flow: OidcFlow }>
  /** Rejects with `Failure('forbidden', 'oidc_refused')` for whatever does not fit the flow. */
  finish(returned: URL, flow: OidcFlow): Promise<OidcIdentity>
}

const timeoutS = 5
const mostGroups = 200

export function oidcProvider({ issuer, origins, clientId, clientSecretFile, redirectUri, groupsClaim, roleMap }: OidcSettings): OidcProvider {
  const secret = clientSecretFile === undefined ? undefined : readFileSync(clientSecretFile, 'utf8').trim()
  const asked = outgoing({ origins: [issuer, ...origins], namedIn: 'AEGIS_OIDC_ORIGINS' })
  let found: Promise<client.Configuration> | undefined
  const configuration = () =>
    (found ??= discover(new URL(issuer), clientId, secret, asked).catch((failure: unknown) => {
      found = undefined // asked again next time
      throw new Failure('unavailable', 'oidc_away', 'the OpenID Connect provider does not answer', { cause: failure })
    }))
  return {
    async start() {
      const flow = { state: client.randomState(), nonce: client.randomNonce(), verifier: client.randomPKCECodeVerifier() }
      const parameters = {
        redirect_uri: redirectUri,
        scope: 'openid profile email',
        state: flow.state,
        nonce: flow.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(flow.verifier),
        code_challenge_method: 'S256',
        // Somebody else's session at the provider is no proof that this person sits here now.
        max_age: '300',
      }
      return { url: client.buildAuthorizationUrl(await configuration(), parameters).href, flow }
    },
    async finish(returned, { state, nonce, verifier }) {
      const at = await configuration()
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true, maxAge: 300 }
      const tokens = await client.authorizationCodeGrant(at, returned, checks).catch((cause: unknown) => {
        throw new Failure('forbidden', 'oidc_refused', 'the OpenID Connect provider, or what it sent back, did not fit this login: begin again', { cause })
      })
      const claims = tokens.claims()
      if (!claims) throw new Failure('forbidden', 'oidc_refused', 'the OpenID Connect provider sent no identity: begin again')
      return identityOf(claims, { groupsClaim, roleMap })
    },
  }
}

/** What the provider says of itself is its word alone: each address in it is asked only where an operator named its origin. */
async function discover(issuer: URL, clientId: string, secret: string | undefined, asked: Outgoing): Promise<client.Configuration> {
  const authentication = secret === undefined ? client.None() : client.ClientSecretBasic(secret)
  // Plain HTTP only inside this machine: the settings take no other such issuer.
  // Signatures are checked although the answer comes over TLS: this line is all that stands between a proxy and an account.
  const execute = [client.enableNonRepudiationChecks, ...(issuer.protocol === 'http:' ? [client.allowInsecureRequests] : [])]
  const options = { execute, timeout: timeoutS, [client.customFetch]: (address: string, asking: client.CustomFetchOptions) => asked.fetch(address, asking) }
  const found = await client.discovery(issuer, clientId, undefined, authentication, options)
  asked.refuseUnlessNamed(found.serverMetadata().authorization_endpoint ?? '') // browsers are sent there
  return found
}

function identityOf(claims: client.IDToken, { groupsClaim, roleMap }: Pick<OidcSettings, 'groupsClaim' | 'roleMap'>): OidcIdentity {
  const listed: unknown = claims[groupsClaim]
  const groups = Array.isArray(listed) ? [...new Set(listed.filter((group): group is string => typeof group === 'string' && group.length <= 256))].slice(0, mostGroups).sort() : []
  const name = typeof claims['name'] === 'string' ? claims['name'].slice(0, 200) : ''
  const username = typeof claims['preferred_username'] === 'string' ? claims['preferred_username'] : claims.sub
  return { issuer: claims.iss, sub: claims.sub, username, displayName: name, groups, bindings: groups.flatMap((group) => roleMap.get(group) ?? []) }
}
