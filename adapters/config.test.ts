import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apiConfig } from './config.ts'
import { refuseSharedKeys } from './key-purposes.ts'
import { createKeys } from './signing.ts'

const sound = {
  DATABASE_URL: 'postgres://x', AEGIS_POLICY_KEY_FILE: 'policy.key', AEGIS_POLICY_PUBLIC_KEYS_FILE: 'policy.pub',
  AEGIS_TOKEN_KEY_FILE: 'token.key', AEGIS_TOKEN_PUBLIC_KEYS_FILE: 'token.pub',
}

test('nobody signs up by themselves, and passwords are good, unless said otherwise', () => {
  expect(apiConfig(sound)).toMatchObject({ AEGIS_SIGNUP: false, AEGIS_LOCAL_LOGIN: true, AEGIS_TRUSTED_PROXIES: 0 })
})

test.each<[string, Record<string, string>, RegExp]>([
  ['a shared secret for tokens', { JWT_SECRET: 'hunter2' }, /JWT_SECRET: a shared secret/],
  ['one key file for two purposes', { AEGIS_TOKEN_KEY_FILE: 'policy.key' }, /AEGIS_POLICY_KEY_FILE: `policy.key` is AEGIS_TOKEN_KEY_FILE already/],
  ['an origin with a path', { AEGIS_OIDC_ORIGINS: 'https://keys.example/jwks' }, /AEGIS_OIDC_ORIGINS: `https:\/\/keys.example\/jwks`/],
  ['a metadata service for a provider', { AEGIS_OIDC_ORIGINS: 'http://169.254.169.254' }, /AEGIS_OIDC_ORIGINS/],
  ['a provider over plain HTTP', { AEGIS_OIDC_ISSUER: 'http://login.example' }, /AEGIS_OIDC_ISSUER: .*https/],
  ['an address that is none', { AEGIS_PUBLIC_URL: 'aegis' }, /AEGIS_PUBLIC_URL/],
  ['a role that is none', { AEGIS_OIDC_ROLES: 'sre=root' }, /AEGIS_OIDC_ROLES: `sre=root`/],
])('%s stops the process, and the value of a secret is not said', (_name, more, message) => {
  expect(() => apiConfig({ ...sound, ...more })).toThrow(message)
  expect(() => apiConfig({ ...sound, ...more })).not.toThrow(/hunter2/)
})

test('groups stand for roles where they hold', () => {
  const { AEGIS_OIDC_ROLES: map } = apiConfig({ ...sound, AEGIS_OIDC_ROLES: 'sre=approver@main/shop, sre=user' })
  expect(map.get('sre')).toEqual([{ role: 'approver', cluster: 'main', namespace: 'shop' }, { role: 'user', cluster: null, namespace: null }])
})

test('one key in two files of public keys is refused, whatever the files are called', () => {
  const directory = mkdtempSync(join(tmpdir(), 'aegis-config-'))
  const [a, b] = [join(directory, 'a.pub'), join(directory, 'b.pub')]
  createKeys(join(directory, 'a.key'), a)
  createKeys(join(directory, 'b.key'), b)
  expect(() => refuseSharedKeys({ ONE: a, TWO: b })).not.toThrow()
  expect(() => refuseSharedKeys({ ONE: a, TWO: a })).toThrow(/TWO and ONE both hold the key/)
  rmSync(directory, { recursive: true })
})
