/**
 * UUIDs of version 7: the first 48 bits are milliseconds since 1970, so that ids sort by time.
 * Clock, randomness and hashes arrive as arguments.
 */

const uuidV7Form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

export const isUuidV7 = (text: string): boolean => uuidV7Form.test(text)

/** A fresh id. `randomBytes` must hold at least 10 bytes; throws a `RangeError` otherwise. */
export function uuidv7(nowMs: number, randomBytes: Uint8Array): string {
  if (randomBytes.length < 10) throw new RangeError('a version 7 UUID needs 10 random bytes')
  const hex = Array.from(randomBytes.subarray(0, 10), (byte) => byte.toString(16).padStart(2, '0')).join('')
  return assemble(nowMs, BigInt(`0x${hex}`) >> 6n)
}

/**
 * The same instant and hash always give the same id, so that a retried write finds its own row.
 * Uses the first 74 bits of `hashHex`; throws a `RangeError` when it holds fewer than 20 digits.
 */
export function deterministicUuid(startMs: number, hashHex: string): string {
  if (!/^[0-9a-f]{20}/.test(hashHex)) throw new RangeError('a deterministic id needs a hash of at least 20 hex digits')
  return assemble(startMs, BigInt(`0x${hashHex.slice(0, 20)}`) >> 6n)
}

/** Milliseconds since 1970 of a version 7 UUID; undefined for any other text. */
export const uuidTimeMs = (id: string): number | undefined =>
  isUuidV7(id) ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : undefined

/** 48 bits of time, version, 12 bits, variant, 62 bits. */
function assemble(ms: number, bits74: bigint): string {
  if (!Number.isSafeInteger(ms) || ms < 0 || ms >= 2 ** 48) throw new RangeError(`${ms} is no time a version 7 UUID can hold`)
  const time = ms.toString(16).padStart(12, '0')
  const high = (bits74 >> 62n).toString(16).padStart(3, '0')
  const low = ((0b10n << 62n) | (bits74 & ((1n << 62n) - 1n))).toString(16)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${high}-${low.slice(0, 4)}-${low.slice(4)}`
}
