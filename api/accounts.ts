/** What logging in needs: settings, tokens, passwords, sessions. One for each process. */
import type { Knex } from 'knex'
import type { OidcProvider } from '../adapters/oidc.ts'
import { passwords, type Passwords } from '../adapters/passwords.ts'
import type { Tokens } from '../adapters/tokens.ts'
import { sessionLookup, type SessionLookup } from './session-cache.ts'

export type AccountSettings = {
  /** Where people and their browsers find this Aegis; no slash at its end. */
  publicUrl: string
  signup: boolean
  localLogin: boolean
  /** How many proxies of ours a call comes through: the address before them is the caller's. */
  trustedProxies: number
}

export type Accounts = {
  settings: AccountSettings
  tokens: Tokens
  passwords: Passwords
  sessions: SessionLookup
  /** Null: people log in by password alone. */
  oidc: OidcProvider | null
  /** True once a minute for each text. */
  isFirstThisMinute(text: string): boolean
}

type AccountOptions = Pick<Accounts, 'settings' | 'tokens' | 'oidc'> & { db: Knex; hashSlots: number }

export const accounts = ({ db, hashSlots, ...rest }: AccountOptions): Accounts => ({
  ...rest,
  passwords: passwords({ slots: hashSlots }),
  sessions: sessionLookup(db),
  isFirstThisMinute: onceAMinute(),
})

const mostRemembered = 10_000

function onceAMinute(): (text: string) => boolean {
  const seen = new Map<string, number>()
  return (text) => {
    const minute = Math.floor(performance.now() / 60_000)
    if (seen.get(text) === minute) return false
    if (seen.size >= mostRemembered) seen.clear()
    seen.set(text, minute)
    return true
  }
}
