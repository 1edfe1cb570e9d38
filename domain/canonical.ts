/**
 * JSON in one form only (RFC 8785 for the values we store: no NaN, no lone surrogates, no undefined
 * members), so that equal values have equal bytes and equal digests.
 * Throws a `TypeError` for a value that has no canonical form.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return canonicalNumber(value)
  if (typeof value === 'string') return canonicalString(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object') return canonicalObject(value as Record<string, unknown>)
  throw new TypeError(`a ${typeof value} has no canonical JSON form`)
}

function canonicalNumber(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical JSON form`)
  return JSON.stringify(value)
}

/** Printable ASCII without quote and backslash is itself in JSON: nearly every name and value there is. */
const plain = /^[ !#-[\]-~]*$/

function canonicalString(value: string): string {
  if (plain.test(value)) return `"${value}"`
  if (!value.isWellFormed()) throw new TypeError('a string with a lone surrogate has no canonical JSON form')
  return JSON.stringify(value)
}

/** One text grown in place: this runs for every decision. */
function canonicalObject(value: Record<string, unknown>): string {
  let text = ''
  // Sorted by UTF-16 code units, as RFC 8785 asks.
  for (const key of Object.keys(value).sort()) {
    const member = value[key]
    if (member === undefined) continue
    text += `${text === '' ? '' : ','}${canonicalString(key)}:${canonicalJson(member)}`
  }
  return `{${text}}`
}
