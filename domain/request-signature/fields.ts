/**
 * The structured fields (RFC 9651) that a signed request carries, in the one spelling this profile takes. Bounded in
 * length and read once from left to right; what is only nearly right is refused, so that no two readers can differ.
 */

/** Far above what the profile needs: a component list and six parameters. */
const mostCharacters = 1_024
const mostComponents = 16
const mostParameters = 16

/** Why a field could not be read: `several` labels where one is due, or anything else. */
export type Unread = 'several' | 'malformed'

export type SignatureInput = {
  label: string
  components: string[]
  parameters: Map<string, string | number>
  /** Everything after `label=`, as it was sent: the last line of what is signed. */
  text: string
}

const label = /[a-z*][a-z0-9_.*-]{0,31}/y
const quoted = /"([\x20\x21\x23-\x5b\x5d-\x7e]*)"/y
const integer = /0|[1-9]\d{0,14}/y
const key = /[a-z*][a-z0-9_.*-]{0,31}/y
const bytes = /:([A-Za-z0-9+/]*={0,2}):/y

type Reader = { text: string; at: number }

/** `sig1=("@method" …);created=1;keyid="…"` */
export function readSignatureInput(text: string): SignatureInput | Unread {
  if (text.length > mostCharacters) return 'malformed'
  const reader = { text, at: 0 }
  const name = take(reader, label)?.[0]
  if (name === undefined || !steps(reader, '=')) return 'malformed'
  const from = reader.at
  const components = readComponents(reader)
  const parameters = components && readParameters(reader)
  if (!components || !parameters) return 'malformed'
  if (reader.at < text.length) return follows(reader)
  return { label: name, components, parameters, text: text.slice(from) }
}

/** `sig1=:base64:` as the label and the base64. Whether that is the right length is for whoever knows the algorithm. */
export function readSignature(text: string): { label: string; base64: string } | Unread {
  if (text.length > mostCharacters) return 'malformed'
  const reader = { text, at: 0 }
  const name = take(reader, label)?.[0]
  const base64 = name !== undefined && steps(reader, '=') ? take(reader, bytes)?.[1] : undefined
  if (name === undefined || base64 === undefined) return 'malformed'
  return reader.at < text.length ? follows(reader) : { label: name, base64 }
}

/** `sha-256=:base64:` alone, as the base64 of 32 bytes. */
export const readContentDigest = (text: string): string | undefined => /^sha-256=:([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):$/.exec(text.slice(0, 64))?.[1]

function readComponents(reader: Reader): string[] | undefined {
  const components: string[] = []
  if (!steps(reader, '(')) return undefined
  while (components.length < mostComponents) {
    const name = take(reader, quoted)?.[1]
    if (name === undefined) return undefined
    components.push(name)
    if (steps(reader, ')')) return components
    if (!steps(reader, ' ')) return undefined
  }
  return undefined
}

function readParameters(reader: Reader): Map<string, string | number> | undefined {
  const parameters = new Map<string, string | number>()
  while (steps(reader, ';')) {
    const name = take(reader, key)?.[0]
    if (name === undefined || parameters.has(name) || parameters.size >= mostParameters || !steps(reader, '=')) return undefined
    const value = readValue(reader)
    if (value === undefined) return undefined
    parameters.set(name, value)
  }
  return parameters
}

function readValue(reader: Reader): string | number | undefined {
  const text = take(reader, quoted)?.[1]
  if (text !== undefined) return text
  const digits = take(reader, integer)?.[0]
  return digits === undefined ? undefined : Number(digits)
}

const follows = ({ text, at }: Reader): Unread => (text[at] === ',' ? 'several' : 'malformed')

function take(reader: Reader, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = reader.at
  const found = pattern.exec(reader.text)
  if (!found) return undefined
  reader.at += found[0].length
  return found
}

function steps(reader: Reader, mark: string): boolean {
  if (reader.text[reader.at] !== mark) return false
  reader.at++
  return true
}
