import type { BoundsRefusal } from '../domain/request-signature/bounds.ts'
import { coveredComponents, signatureLifeS, signatureTag, skewS, type SignatureRefusal } from '../domain/request-signature/signature.ts'
import { HttpProblem } from './problems.ts'

type Code = SignatureRefusal | 'signature_not_taken' | 'two_credentials' | 'signatures_off'

const signAnew = 'sign the request anew; `aegis sign` and docs/signing.md show how'
const askAdmin = 'ask an admin for a key in use: `aegis caller list` shows their states'

const words: Record<Code, { detail: string; nextStep?: string }> = {
  signature_not_taken: { detail: 'this route takes no signature', nextStep: 'send `Authorization: Bearer aegis_…`; signatures are taken by `POST /executor/execute` and `POST /api/v1/remediations`' },
  two_credentials: { detail: 'the request bears a signature and an `Authorization` header', nextStep: 'send one of the two' },
  signatures_off: { detail: 'this installation takes no signatures: it has no audience', nextStep: 'an operator sets AEGIS_AUDIENCE; until then send an API key' },
  signature_incomplete: { detail: '`Signature` and `Signature-Input` belong together, and one is missing' },
  signature_empty: { detail: '`Signature` or `Signature-Input` is empty' },
  signature_ambiguous: { detail: 'more than one signature, or a covered header is sent twice', nextStep: 'send one `Signature`, one `Signature-Input` with the same single label, and each covered header once' },
  signature_malformed: { detail: '`Signature-Input` is not written as RFC 9421 has it' },
  signature_encoding: { detail: '`Signature` is not `label=:base64:`' },
  signature_length: { detail: 'the signature is not as long as its algorithm makes it', nextStep: 'send all 32 bytes of the HMAC-SHA256, or all 64 of the Ed25519 signature' },
  signature_coverage: { detail: 'the covered components are not those of this profile', nextStep: `cover ${coveredComponents.join(', ')} in this order, and idempotency-key after them where you send that header` },
  signature_parameters: { detail: 'the parameters are not those of this profile', nextStep: 'give created, expires, nonce, keyid, alg and tag, each once and nothing else' },
  signature_algorithm: { detail: 'the algorithm is not the one of this key', nextStep: 'say `alg="hmac-sha256"` for a secret, `alg="ed25519"` for a private key' },
  signature_tag: { detail: 'the tag names another use', nextStep: `say \`tag="${signatureTag}"\`` },
  signature_nonce: { detail: 'the nonce is not 128 bits as base64url', nextStep: 'make 16 random bytes for every request, as 22 characters of base64url' },
  signature_lifetime: { detail: `\`expires\` must be 1 to ${signatureLifeS} s after \`created\`` },
  signature_key_unknown: { detail: 'there is no caller key with this id', nextStep: askAdmin },
  signature_key_pending: { detail: 'the caller key is not in use yet', nextStep: 'an admin activates it: `aegis caller activate <key id>`' },
  signature_key_retired: { detail: 'the overlap of this caller key is over', nextStep: askAdmin },
  signature_key_revoked: { detail: 'the caller key is revoked', nextStep: askAdmin },
  signature_invalid: { detail: 'the signature is not that of this key over this request', nextStep: 'sign exactly what you send: method, path, query and headers as they go over the wire' },
  signature_audience: { detail: 'the request is signed for another installation', nextStep: 'sign for the audience of this installation (AEGIS_AUDIENCE), with a key that is good for it' },
  signature_not_yet_valid: { detail: `the signature was made more than ${skewS} s in the future`, nextStep: 'set the clock of the caller right' },
  signature_expired: { detail: 'the signature has expired' },
  digest_missing: { detail: '`Content-Digest` is missing' },
  digest_malformed: { detail: '`Content-Digest` is not `sha-256=:base64:`' },
  digest_mismatch: { detail: 'the body is not the one that was signed', nextStep: 'sign the very bytes that you send, after every change to them' },
}

export const signatureProblem = (code: Code): HttpProblem =>
  new HttpProblem({ status: 401, code, nextStep: signAnew, ...words[code], headers: { 'WWW-Authenticate': 'Bearer realm="aegis"' } })

const boundWords: Record<BoundsRefusal, string> = {
  key_not_for_action: 'the caller key is not good for this action',
  key_not_for_namespace: 'the caller key is not good for this namespace',
  key_not_for_replicas: 'the caller key is not good for so many replicas',
}

export const boundsProblem = (code: BoundsRefusal): HttpProblem =>
  new HttpProblem({ status: 403, code, detail: boundWords[code], nextStep: 'an admin can make a key with other bounds: `aegis caller create`; `aegis caller list` shows those of this one' })
