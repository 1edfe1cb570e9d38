import type { IncomingMessage } from 'node:http'
import { fieldProblem, HttpProblem } from './problems.ts'
import { scanJson, type Finding, type SetAside } from './scan.ts'

/** Unless a route says otherwise. */
export const defaultBodyLimitBytes = 256 * 1024

/** An oversized body is thrown away up to here, so that its sender can read our answer; then the line is cut. */
const drainLimitBytes = 4 * 1024 * 1024

/** Reads and judges the raw text before anything is built from it. No body at all counts as `{}`. */
export async function readJsonBody(request: IncomingMessage, limitBytes: number, apart?: Apart): Promise<unknown> {
  return parseJsonBody(request, await readBody(request, limitBytes), apart)
}

/** The same for a body that was read already. */
export function parseJsonBody(request: IncomingMessage, bytes: Buffer, apart?: Apart): unknown {
  const { 'content-encoding': encoding, 'content-type': type } = request.headers
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unsupported('Content-Encoding', encoding, 'send the body uncompressed')
  if (bytes.length === 0) return {}
  if (!isJson(type)) throw unsupported('Content-Type', type ?? '(none)', 'send `Content-Type: application/json`, in UTF-8')
  return parseStrict(decode(bytes), apart)
}

/** Of a body whose items stand for themselves: one that may not come in costs no other. `unread` is nothing we read. */
export type Apart = { items: string; unread: readonly string[] }

/** In the place of an item that may not come in. */
export class Odd {
  readonly finding: Finding
  constructor(finding: Finding) {
    this.finding = finding
  }
}

/** `JSON.parse` without its silences; see `scanJson`. */
export function parseStrict(text: string, apart?: Apart): unknown {
  const odd = new Map<number, Odd>()
  const setAside = ({ items, unread }: Apart): SetAside => ([member, index], finding) => {
    if (member === items && typeof index === 'number') return odd.has(index) || Boolean(odd.set(index, new Odd(finding)))
    return typeof member === 'string' && index !== undefined && unread.includes(member)
  }
  const found = scanJson(text, apart && setAside(apart))
  if (found) throw fieldProblem(found.code, [{ field: found.path, message: found.message }])
  const body: unknown = JSON.parse(text)
  return apart ? without(body as Record<string, unknown>, apart, odd) : body
}

function without(body: Record<string, unknown>, { items, unread }: Apart, odd: ReadonlyMap<number, Odd>): Record<string, unknown> {
  if (!body || !Array.isArray(body[items])) return body
  const kept = Object.entries(body).filter(([name]) => !unread.includes(name))
  return { ...Object.fromEntries(kept), [items]: (body[items] as unknown[]).map((item, index) => odd.get(index) ?? item) }
}

/** The raw bytes, as they came. */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    // Leaving the loop must not destroy the request: the answer goes out over the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size <= limitBytes) chunks.push(chunk)
      else chunks.length = 0
      if (size > drainLimitBytes) break
    }
  } catch (failure) {
    if (request.complete) throw failure
    throw fieldProblem('body_cut_off', [{ field: '', message: 'ended before it was whole' }]) // its sender went away, or was too slow
  }
  if (size > limitBytes) throw tooLarge(limitBytes)
  return Buffer.concat(chunks)
}

const isJson = (type: string | undefined): boolean => /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(type ?? '')

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw fieldProblem('bad_text', [{ field: '', message: 'is not UTF-8' }])
  }
}

const tooLarge = (limitBytes: number) =>
  new HttpProblem({
    status: 413,
    code: 'body_too_large',
    detail: `the body is larger than ${limitBytes / 1024} KiB`,
    errors: [{ field: '', message: `must be at most ${limitBytes} bytes` }],
    nextStep: 'send less at once; an Alertmanager route can group by more labels',
    headers: { Connection: 'close' },
  })

const unsupported = (header: string, given: string, nextStep: string) =>
  new HttpProblem({
    status: 415,
    code: 'unsupported_body',
    detail: `\`${header}: ${given.slice(0, 80)}\` is not supported`,
    errors: [{ field: header, message: nextStep }],
    nextStep,
  })
