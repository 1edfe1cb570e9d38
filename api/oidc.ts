/** Logging in at an OpenID Connect provider: there with a redirect, and back with a code. */
import { z } from 'zod'
import { together } from '../adapters/postgres/connect.ts'
import { systemActor } from '../adapters/postgres/ledger.ts'
import type { OidcFlow, OidcIdentity, OidcProvider } from '../adapters/oidc.ts'
import { changeUser, createUser, findByOidc, findCredentials, type Credentials } from '../adapters/postgres/users.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import { canonicalUsername, usernameForm } from '../domain/identity.ts'
import type { ClientFacts } from './client.ts'
import { cookie, cookieNames, isDeviceToken } from './credentials.ts'
import { beginSession } from './login.ts'
import { HttpProblem } from './problems.ts'
import { doorRoute, reply, type ApiDeps, type Route } from './route.ts'

const tag = 'Accounts'
const flowLifeS = 600
const nothing = z.strictObject({})

const start = doorRoute({
  method: 'get',
  path: '/api/v1/auth/oidc/start',
  summary: 'Log in at the OpenID Connect provider: leads there',
  tag,
  output: { 303: nothing },
  handle: async ({ deps, client }) => {
    const provider = providerOf(deps)
    refuseSentHere(client)
    const { url, flow } = await provider.start()
    // The way back is a navigation from another site, at which a strict cookie would stay behind.
    const keep = cookie(cookieNames.oidc, [flow.state, flow.nonce, flow.verifier].join('.'), { maxAgeS: flowLifeS, sameSite: 'Lax' })
    return reply(303, {}, { Location: url, 'Set-Cookie': keep })
  },
})

/** Parameters are the provider's to send; the library reads them. */
const returned = z.object({ code: z.string().max(4_096).optional(), state: z.string().max(1_024).optional(), iss: z.string().max(1_024).optional(), error: z.string().max(256).optional(), error_description: z.string().max(2_048).optional(), session_state: z.string().max(1_024).optional() })

const callback = doorRoute({
  method: 'get',
  path: '/api/v1/auth/oidc/callback',
  summary: 'Back from the OpenID Connect provider: begins a session and leads to the console',
  tag,
  query: returned,
  output: { 303: nothing },
  handle: async ({ deps, query, client }) => {
    const provider = providerOf(deps)
    const { publicUrl } = deps.accounts.settings
    const flow = flowOf(client.cookies[cookieNames.oidc])
    const url = new URL(`${publicUrl}/api/v1/auth/oidc/callback`)
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value)
    const user = await accountOf(deps, await provider.finish(url, flow))
    const device = client.cookies[cookieNames.device]
    const { headers } = await beginSession(deps, { user, client, device: device !== undefined && isDeviceToken(device) ? device : null, delivery: 'cookie', how: 'oidc' })
    const done = cookie(cookieNames.oidc, '', { maxAgeS: 0, sameSite: 'Lax' })
    return reply(303, {}, { Location: `${publicUrl}/`, 'Set-Cookie': [done, ...[headers['Set-Cookie'] ?? []].flat()] })
  },
})

/** Where the provider asks nothing, another site could log somebody in who never wanted to. Older browsers do not say where they come from. */
function refuseSentHere({ fetchSite }: ClientFacts): void {
  if (fetchSite === null || fetchSite === 'none' || fetchSite === 'same-origin') return
  throw new HttpProblem({ status: 403, code: 'cross_site', detail: 'another site began this login', nextStep: 'open this Aegis and log in from there' })
}

function providerOf({ accounts }: ApiDeps): OidcProvider {
  if (accounts.oidc) return accounts.oidc
  throw new HttpProblem({ status: 404, code: 'oidc_off', detail: 'no OpenID Connect provider is set up here', nextStep: 'log in with a password; an operator sets AEGIS_OIDC_ISSUER' })
}

function flowOf(kept: string | undefined): OidcFlow {
  const [state = '', nonce = '', verifier = '', ...rest] = (kept ?? '').split('.')
  if (state !== '' && nonce !== '' && verifier !== '' && rest.length === 0) return { state, nonce, verifier }
  throw new HttpProblem({ status: 403, code: 'oidc_no_flow', detail: 'no login was begun in this browser, or it took longer than 10 minutes', nextStep: 'begin again at `GET /api/v1/auth/oidc/start`' })
}

/** Made at the first login; what the groups stand for is looked at anew at each. */
async function accountOf({ db, accounts }: ApiDeps, identity: OidcIdentity): Promise<Credentials> {
  const known = await findByOidc(db, identity)
  const { groups, bindings } = identity
  if (known) await changeUser(db, known.userId, { groups, bindings }, systemActor, 'oidc')
  accounts.sessions.forget()
  const username = known?.username ?? (await create(db, identity))
  const user = await findCredentials(db, username)
  if (user?.state === 'active') return user
  throw new HttpProblem({ status: 403, code: 'account_disabled', detail: 'the account is disabled', nextStep: 'ask an admin to enable it' })
}

/** A name that somebody has already is never a reason to become that person. */
async function create(db: ApiDeps['db'], identity: OidcIdentity): Promise<string> {
  const { issuer, sub, displayName, groups, bindings } = identity
  const wished = canonicalUsername(identity.username).slice(0, 100)
  const apart = sha256Hex(`${issuer}\n${sub}`).slice(0, 16)
  const names = [...(usernameForm.test(wished) ? [wished, `${wished}-${apart}`] : []), `oidc-${apart}`]
  return together(db, async (trx) => {
    for (const username of names) {
      const draft = { userId: freshId(), username, displayName: displayName || username, passwordHash: null, oidc: { issuer, sub }, groups, bindings }
      if ((await createUser(trx, draft, systemActor, 'oidc')).created) return username
    }
    throw new HttpProblem({ status: 409, code: 'username_taken', detail: 'every name for this account is taken', nextStep: 'ask an admin' })
  })
}

export const oidcRoutes: Route[] = [start, callback]
