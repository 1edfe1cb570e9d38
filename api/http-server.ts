/** The server around the app: how long a request may take to come in, and what one hears that is no HTTP. */
import { randomUUID } from 'node:crypto'
import { createServer, STATUS_CODES, type RequestListener, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { HttpProblem, problemDocument } from './problems.ts'
import { securityHeaders } from './security-headers.ts'

const limits = {
  headersTimeout: 5_000,
  requestTimeout: 15_000,
  /** How often both are looked at: by itself Node does every 30 s, so that 5 s would be 35. */
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
  requireHostHeader: false, // the app says so, in the words of all its refusals
}

export function httpServer(app: RequestListener): Server {
  const server = createServer(limits, app)
  server.on('clientError', answerBroken)
  return server
}

const tooSlow = { status: 408, code: 'too_slow', detail: 'the request did not come in within 15 s, or its headers within 5 s', nextStep: 'send it again, whole' }
const headersTooLarge = { status: 431, code: 'headers_too_large', detail: `the headers are larger than ${limits.maxHeaderSize} bytes`, nextStep: 'send fewer or shorter headers' }
const noHttp = { status: 400, code: 'no_http', detail: 'this is no HTTP/1.1 that can be read in one way only', nextStep: 'send a well-formed request' }

const refusals: Record<string, typeof noHttp> = { ERR_HTTP_REQUEST_TIMEOUT: tooSlow, HPE_HEADER_OVERFLOW: headersTooLarge }

/** Such a request never reaches the app, so the answer is written by hand; the line is cut after it. */
function answerBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  const answering = (socket as { _httpMessage?: { headersSent: boolean } | null })._httpMessage
  if (!socket.writable || answering?.headersSent === true) return void socket.destroy()
  const requestId = randomUUID()
  const { parts } = new HttpProblem(refusals[error.code ?? ''] ?? noHttp)
  const body = JSON.stringify(problemDocument(parts, '', requestId))
  const headers = { ...securityHeaders, 'Content-Type': 'application/problem+json; charset=utf-8', 'Content-Length': Buffer.byteLength(body), 'X-Request-Id': requestId, Connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${parts.status} ${STATUS_CODES[parts.status]}\r\n${lines.join('')}\r\n${body}`)
}
