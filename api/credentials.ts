/** What is handed to clients: opaque, 256 bits each, kept as hashes alone. */
import { createHmac, randomBytes } from 'node:crypto'
import { sha256Hex } from '../adapters/signing.ts'
import type { ClientFacts } from './client.ts'

const fresh = (kind: 'refresh' | 'device' | 'once'): string => `aegis_${kind}_${randomBytes(32).toString('base64url')}`

export const freshRefreshToken = (): string => fresh('refresh')
export const freshDeviceToken = (): string => fresh('device')
export const freshOneTimeToken = (): string => fresh('once')
export const freshSalt = (): string => randomBytes(16).toString('base64url')

const form = (kind: string) => new RegExp(`^aegis_${kind}_[A-Za-z0-9_-]{43}$`)
const refreshForm = form('refresh')
const deviceForm = form('device')

export const isRefreshToken = (text: string): boolean => refreshForm.test(text)
export const isDeviceToken = (text: string): boolean => deviceForm.test(text)

/**
 * The token after this one. Whoever lost the reply presents the old token again and hears the same successor, and yet
 * nothing is stored that it could be read from: it takes the old token and the salt of its row.
 */
export const successorOf = (token: string, salt: string): string =>
  `aegis_refresh_${createHmac('sha256', token).update(`aegis.dev refresh successor\n${salt}`).digest('base64url')}`

/** Tells a client that lost a reply from another one that has the same token. */
export const clientHash = ({ userAgent }: Pick<ClientFacts, 'userAgent'>, device: string): string => sha256Hex(`${userAgent}\n${device}`)

export const cookieNames = { refresh: '__Host-aegis-refresh', device: '__Host-aegis-device', oidc: '__Host-aegis-oidc' } as const

type CookieOptions = { maxAgeS: number; sameSite: 'Strict' | 'Lax' }

/** `__Host-`: of this very host, over TLS, and nothing on the page can read it. */
export const cookie = (name: (typeof cookieNames)[keyof typeof cookieNames], value: string, { maxAgeS, sameSite }: CookieOptions): string =>
  `${name}=${value}; Path=/; Max-Age=${maxAgeS}; Secure; HttpOnly; SameSite=${sameSite}`
