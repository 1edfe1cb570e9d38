import type { RequestHandler, Response } from 'express'
import helmet from 'helmet'

/** Answers are data: should a browser show one after all, nothing in it runs, loads, is framed or leads on. */
const contentSecurityPolicy = {
  useDefaults: false,
  directives: { 'default-src': ["'none'"], 'object-src': ["'none'"], 'base-uri': ["'none'"], 'form-action': ["'none'"], 'frame-ancestors': ["'none'"], sandbox: [] },
}

/** The same for every answer, so helmet is asked once: an answer that the app never sees carries them too. */
export const securityHeaders: Readonly<Record<string, string>> = headersOf(helmet({ contentSecurityPolicy, xFrameOptions: { action: 'deny' } }))

function headersOf(sets: ReturnType<typeof helmet>): Record<string, string> {
  const headers: Record<string, string> = { 'Cache-Control': 'no-store' }
  const answer = { setHeader: (name: string, value: string) => (headers[name] = value), removeHeader: () => undefined }
  sets({} as never, answer as unknown as Response, () => undefined)
  return headers
}

/** First of all: whatever refuses a call later, its answer has them. */
export const withSecurityHeaders: RequestHandler = (_req, res, next) => {
  res.set(securityHeaders)
  next()
}
