/** Bytes on a socket, as they are: for what no client of HTTP would send. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { holdAgainstHeaders } from './api.ts'

/** `status` 0: the line was cut without an answer. */
export type RawAnswer = { status: number; headers: Headers; body: string; tookMs: number }

/** Sends the parts one after the other, and reads until the line is cut. */
export async function sendRaw(url: string, parts: Iterable<string | Buffer>, { everyMs = 0, limitMs = 30_000 } = {}): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const begun = performance.now()
  const socket = connect(Number(port), hostname)
  const chunks: Buffer[] = []
  const ended = new Promise<void>((resolve) => socket.on('data', (chunk) => void chunks.push(chunk)).on('error', () => resolve()).on('close', () => resolve()))
  const limit = setTimeout(() => socket.destroy(), limitMs)
  for (const part of parts) {
    if (socket.destroyed || chunks.length > 0) break
    socket.write(part)
    if (everyMs > 0) await Promise.race([sleep(everyMs), ended])
  }
  await ended
  clearTimeout(limit)
  return { ...answerIn(Buffer.concat(chunks).toString()), tookMs: performance.now() - begun }
}

function answerIn(text: string): Pick<RawAnswer, 'status' | 'headers' | 'body'> {
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const [first = '', ...lines] = head.split('\r\n')
  const headers = new Headers(lines.map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))
  const status = Number(first.split(' ')[1] ?? 0)
  if (status !== 0) holdAgainstHeaders('raw', first, headers)
  return { status, headers, body: rest.join('\r\n\r\n') }
}
