/**
 * Asking an address that somebody else names. An operator says which origins may be asked; where their names lead is
 * looked at in the lookup that the connection itself uses, so that no second answer comes between.
 */
import { lookup as lookUp, type LookupAddress, type LookupOptions } from 'node:dns'
import { request as sendPlain, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as sendTls } from 'node:https'
import { isIP } from 'node:net'
import { Failure } from '../../domain/failure.ts'
import { addressKind } from './addresses.ts'

type Answered = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void
export type LookUp = (hostname: string, options: LookupOptions & { all: true }, answered: Answered) => void

export type OutgoingSettings = {
  /** Exactly these: scheme, host and port. */
  origins: readonly string[]
  /** The setting that lists them, for whoever has to put it right. */
  namedIn: string
  lookup?: LookUp
}

export type Asking = { method?: string; headers?: Record<string, string>; body?: unknown; signal?: AbortSignal | null | undefined }

export type Outgoing = {
  /** Rejects with `Failure('forbidden', 'outgoing_refused')` for what may not be asked; the answer is whole when it resolves. */
  fetch(address: string, asking?: Asking): Promise<Response>
  /** Throws the same for an address that is for somebody else to ask, such as a browser. */
  refuseUnlessNamed(address: string): URL
}

const timeoutMs = 5_000
const largestBytes = 5 * 1024 * 1024
const largestHeadersBytes = 16 * 1024

const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, '')
export const isLoopbackName = (hostname: string): boolean => ['localhost', '127.0.0.1', '::1'].includes(bare(hostname))

/** Plain HTTP is for this machine alone. */
export const isSafeScheme = ({ protocol, hostname }: URL): boolean => protocol === 'https:' || (protocol === 'http:' && isLoopbackName(hostname))

export function outgoing({ origins, namedIn, lookup = lookUp }: OutgoingSettings): Outgoing {
  const named = new Set(origins.map((one) => new URL(one)).filter(isSafeScheme).map(({ origin }) => origin))
  const refuseUnlessNamed = (address: string): URL => {
    const url = URL.canParse(address) ? new URL(address) : undefined
    if (!url || !isSafeScheme(url) || !named.has(url.origin)) throw refused(`\`${url?.origin ?? 'what is no address'}\` is not an address that may be asked: if it is meant to be, ${namedIn} has to name it`)
    if (url.username !== '' || url.password !== '') throw refused(`the address at \`${url.origin}\` holds a name or a password`)
    return url
  }
  return {
    refuseUnlessNamed,
    async fetch(address, asking = {}) {
      const url = refuseUnlessNamed(address)
      const allowed = (kind: string) => kind === 'other' || (kind === 'loopback' && isLoopbackName(url.hostname))
      const checked = checkedLookup(lookup, (found) => allowed(addressKind(found)))
      // A host that is an address already is never looked up.
      if (isIP(bare(url.hostname)) !== 0 && !allowed(addressKind(bare(url.hostname)))) throw leadsWrong(url.hostname)
      return ask(url, asking, checked)
    },
  }
}

/** One address among them that may not be asked spoils the name: whoever put it there decides about the others too. */
const checkedLookup = (lookup: LookUp, allowed: (address: string) => boolean): NonNullable<RequestOptions['lookup']> => (hostname, options, answered) =>
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    const [first] = addresses ?? []
    if (error || !first) return void answered(error ?? leadsWrong(hostname), '')
    if (!addresses.every(({ address }) => allowed(address))) return void answered(leadsWrong(hostname), '')
    return options.all === true ? answered(null, addresses) : answered(null, first.address, first.family)
  })

async function ask(url: URL, { method = 'GET', headers = {}, body = null, signal }: Asking, lookup: NonNullable<RequestOptions['lookup']>): Promise<Response> {
  const bytes = body === null || body === undefined ? undefined : Buffer.from(await new Response(body as ConstructorParameters<typeof Response>[0]).arrayBuffer())
  const length = bytes ? { 'content-length': String(bytes.length) } : {}
  const bounded = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])])
  // No agent: a connection that was opened before was checked for somebody else's answer of the name.
  const options = { method, headers: { ...headers, ...length }, lookup, signal: bounded, agent: false as const, maxHeaderSize: largestHeadersBytes }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = url.protocol === 'https:' ? sendTls(url, { ...options, rejectUnauthorized: true }, resolve) : sendPlain(url, options, resolve)
    request.once('error', reject).end(bytes)
  })
  const status = answer.statusCode ?? 0
  if (status >= 300 && status < 400) {
    answer.destroy()
    throw refused(`\`${url.origin}\` sends us elsewhere: redirects are not followed`)
  }
  return new Response([204, 205].includes(status) ? null : new Uint8Array(await wholeBody(answer, url)), { status, headers: headersOf(answer) })
}

async function wholeBody(answer: IncomingMessage, { origin }: URL): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > largestBytes) throw refused(`\`${origin}\` answers with more than ${largestBytes} bytes`) // leaving the loop ends the connection
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const headersOf = ({ headersDistinct }: IncomingMessage): [string, string][] =>
  Object.entries(headersDistinct).flatMap(([name, values = []]) => values.map((value): [string, string] => [name, value]))

const refused = (message: string): Failure => new Failure('forbidden', 'outgoing_refused', message)
const leadsWrong = (hostname: string): Failure => refused(`\`${hostname}\` leads to no address, or to one that is never asked, such as this machine or a metadata service`)
