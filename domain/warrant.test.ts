import { describe, expect, test } from '@jest/globals'
import { checkWarrant, warrantLifeMs, warrantText, type VerifySignature, type Warrant, type WarrantUse } from './warrant.ts'

const warrant: Warrant = {
  type: 'aegis-warrant-v1', audience: 'main', warrantId: 'w1', remediationId: 'r1', phase: 'act', planDigest: 'sha256:1',
  decisionId: 'd1', approvals: [], issuedAtMs: 1_000, expiresAtMs: 1_000 + warrantLifeMs, nonce: 'n1', keyId: 'k1',
}
const use: WarrantUse = { cluster: 'main', remediationId: 'r1', phase: 'act', planDigest: 'sha256:1', nowMs: 2_000 }
const signed = (text: string) => `signed:${text}`
const verify: VerifySignature = (keyId, text, signature) => (keyId === 'k1' ? signature === signed(text) : undefined)
const check = (given: Warrant, at: WarrantUse = use) => checkWarrant(warrantText(given), signed(warrantText(given)), at, verify)

describe('a warrant', () => {
  test('holds for the use it names', () => expect(check(warrant)).toEqual(warrant))
  test.each([
    ['another cluster', { cluster: 'edge' }, 'warrant_other_cluster'],
    ['another remediation', { remediationId: 'r2' }, 'warrant_other_remediation'],
    ['another phase', { phase: 'undo' }, 'warrant_other_phase'],
    ['another plan', { planDigest: 'sha256:2' }, 'warrant_other_plan'],
    ['the moment it expires', { nowMs: warrant.expiresAtMs }, 'warrant_expired'],
  ] as const)('is refused for %s', (_name, difference, reason) => expect(check(warrant, { ...use, ...difference })).toBe(reason))

  test('is refused when it was given more than its life', () =>
    expect(check({ ...warrant, expiresAtMs: warrant.issuedAtMs + warrantLifeMs + 1 })).toBe('warrant_expired'))
  test('is refused under a key nobody gave', () => expect(check({ ...warrant, keyId: 'k2' })).toBe('warrant_key_unknown'))
  test('is refused when one character changed', () => {
    const text = warrantText(warrant)
    expect(checkWarrant(text.replace('"act"', '"undo"'), signed(text), { ...use, phase: 'undo' }, verify)).toBe('warrant_signature')
  })
  test.each([
    ['no JSON', 'warrant'],
    ['another order of members', JSON.stringify(warrant)],
    ['a missing member', warrantText({ ...warrant, nonce: undefined as never })],
    ['another type', warrantText({ ...warrant, type: 'aegis-warrant-v0' as never })],
    ['a text for a time', warrantText({ ...warrant, expiresAtMs: '9' as never })],
  ])('is refused with %s, even when signed', (_name, text) => expect(checkWarrant(text, signed(text), use, verify)).toBe('warrant_malformed'))
})
