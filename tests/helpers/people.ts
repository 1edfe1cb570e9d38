/** People with accounts, and their sessions, made over HTTP where that is what a test is about. */
import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { systemActor } from '../../adapters/postgres/ledger.ts'
import { createUser } from '../../adapters/postgres/users.ts'
import { passwords } from '../../adapters/passwords.ts'
import { freshId } from '../../adapters/signing.ts'
import { everywhere } from '../../domain/identity.ts'
import type { Binding, Role } from '../../domain/remediation.ts'
import type { Got, Sent, TestApi } from './api.ts'

export const password = 'a walk along the quiet river'
export const globalRole = (role: Role): Binding => ({ role, ...everywhere })

export type Person = { userId: string; username: string }

const hasher = passwords({ slots: 2 })
let passwordHash: Promise<string> | undefined

/** Everybody has the same password: hashing it is what takes time. */
export async function personWith(db: Knex, bindings: Binding[], { username = `p-${randomUUID().slice(0, 12)}`, groups = [] as string[] } = {}): Promise<Person> {
  const hash = await (passwordHash ??= hasher.hash(password))
  const made = await createUser(db, { userId: freshId(), username, displayName: username, passwordHash: hash, oidc: null, groups, bindings }, systemActor)
  if (!made.created) throw new Error(`${username} exists`)
  return { userId: made.user.userId, username }
}

/** Networks are counted: each test comes from one of its own. */
export const freshNetwork = (): string => `10.${randomByte()}.${randomByte()}.${randomByte()}`
const randomByte = () => Math.floor(Math.random() * 256)

export type Session = { accessToken: string; refreshToken: string; deviceToken: string; sessionId: string }
export type LoginOptions = { from?: string; userAgent?: string; deviceToken?: string; password?: string }

export const tryLogin = (api: TestApi, username: string, { from = freshNetwork(), userAgent = 'test', deviceToken, password: given = password }: LoginOptions = {}): Promise<Got> =>
  api.call('POST', '/api/v1/auth/login', {
    body: { username, password: given, session: 'token', ...(deviceToken === undefined ? {} : { deviceToken }) },
    headers: { 'x-forwarded-for': from, 'user-agent': userAgent },
  })

export async function login(api: TestApi, username: string, options: LoginOptions = {}): Promise<Session> {
  const got = await tryLogin(api, username, options)
  if (got.status !== 200) throw new Error(`login of ${username} answered ${got.status}: ${JSON.stringify(got.body)}`)
  return got.body as unknown as Session
}

export const refresh = (api: TestApi, { refreshToken, deviceToken }: Pick<Session, 'refreshToken' | 'deviceToken'>, sent: Sent = {}): Promise<Got> =>
  api.call('POST', '/api/v1/auth/refresh', { body: { refreshToken, deviceToken }, ...sent, headers: { 'user-agent': 'test', ...sent.headers } })

/** A token of now, of a login of longer ago than step-up takes. */
export async function loggedInBefore(api: TestApi, owner: Knex, username: string): Promise<string> {
  const session = await login(api, username)
  await owner.raw(`update control.session_cache set auth_time = now() - interval '6 minutes' where user_id = (select user_id from control.users where username = ?)`, [username])
  return (await refresh(api, session)).body['accessToken'] as string
}
