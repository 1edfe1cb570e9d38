/** As much of PostgreSQL's wire protocol (version 3) as it takes to tell statements apart. */

/** `type` is empty for the first messages of a connection, which have none. */
export type Message = { type: string; payload: Buffer; raw: Buffer }

const sslRequest = 80877103
const gssRequest = 80877104

/** Cuts a stream of bytes into messages, however the bytes come. */
export function messageReader({ startsWithout: untyped }: { startsWithout: 'type' | 'nothing' }) {
  let rest: Buffer = Buffer.alloc(0)
  let starting = untyped === 'type'
  return (chunk: Buffer): Message[] => {
    rest = Buffer.concat([rest, chunk])
    const messages: Message[] = []
    for (;;) {
      const header = starting ? 4 : 5
      if (rest.length < header) return messages
      const length = rest.readUInt32BE(header - 4) + header - 4
      if (rest.length < length) return messages
      const raw = rest.subarray(0, length)
      messages.push({ type: starting ? '' : String.fromCharCode(raw[0] ?? 0), payload: raw.subarray(header), raw })
      rest = rest.subarray(length)
      starting &&= isEncryptionRequest(raw.subarray(header)) // after one of those the real first message follows
    }
  }
}

/** Answered with `N`: the connection goes on unencrypted. */
export const isEncryptionRequest = (payload: Buffer): boolean => payload.length === 4 && [sslRequest, gssRequest].includes(payload.readUInt32BE(0))

/** What the client says of itself when it connects, such as `user` and `application_name`. */
export function startupParameters(payload: Buffer): Record<string, string> {
  const words = payload.subarray(4).toString('utf8').split('\0')
  return Object.fromEntries(Array.from({ length: Math.floor(words.length / 2) }, (_, pair) => [words[2 * pair] ?? '', words[2 * pair + 1] ?? '']))
}

export const simpleQuerySql = (payload: Buffer): string => cString(payload, 0).text
/** Of a Parse message. A statement with a name is sent once, and called by it afterwards. */
export function parsedStatement(payload: Buffer): { name: string; sql: string } {
  const name = cString(payload, 0)
  return { name: name.text, sql: cString(payload, name.next).text }
}

/** The prepared statement that a Bind message calls; empty for the unnamed one. */
export const boundName = (payload: Buffer): string => cString(payload, cString(payload, 0).next).text

/** The values of a Bind message, as text; null and binary ones are of no use for telling statements apart. */
export function boundValues(payload: Buffer): string[] {
  let at = cString(payload, cString(payload, 0).next).next
  at += 2 + 2 * payload.readInt16BE(at)
  const count = payload.readInt16BE(at)
  at += 2
  return Array.from({ length: count }, () => {
    const length = payload.readInt32BE(at)
    const from = at + 4
    at = from + Math.max(length, 0)
    return length < 0 ? '' : payload.subarray(from, at).toString('utf8')
  })
}

function cString(bytes: Buffer, from: number): { text: string; next: number } {
  const end = bytes.indexOf(0, from)
  return { text: bytes.subarray(from, end).toString('utf8'), next: end + 1 }
}
