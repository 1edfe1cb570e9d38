import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Problem } from '../api/problems.ts'
import { loginsIn, type Login, type Logins } from './logins.ts'

/** Where the API is, and which key or whose login to use. */
export type Connection = { url: string; apiKey: string; logins: Logins }

/** Bad usage ends with exit code 2, everything else that goes wrong with 1. */
export class Usage extends Error {
  override readonly name = 'Usage'
}

/** What the API said no to, or that it did not answer. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly problem: Problem | undefined
  readonly nextStep: string
  constructor(message: string, nextStep: string, problem?: Problem) {
    super(message)
    this.problem = problem
    this.nextStep = nextStep
  }
}

const stackFile = join('.aegis', 'stack.json')

/** `AEGIS_URL` and `AEGIS_API_KEY`; else whoever logged in there; else what a stack started in this directory wrote down. */
export function connectionOf(env: NodeJS.ProcessEnv, directory: string): Connection {
  const { AEGIS_URL: url, AEGIS_API_KEY: apiKey } = env
  const stack = url && apiKey ? undefined : readStack(join(directory, stackFile))
  const found = { url: url ?? stack?.api ?? '', apiKey: apiKey ?? (url ? '' : (stack?.apiKey ?? '')) }
  if (found.url === '') throw new Usage('no Aegis to talk to: set AEGIS_URL and AEGIS_API_KEY (or `aegis login`), or run `npm start` in this checkout')
  if (!URL.canParse(found.url)) throw new Usage(`\`${found.url}\` is not an address: set AEGIS_URL to one such as http://127.0.0.1:3000`)
  const address = found.url.replace(/\/$/, '')
  const logins = loginsIn(env)
  return { url: address, apiKey: apiKey === undefined && logins.read(address) ? '' : found.apiKey, logins }
}

/** For what asks nobody. */
export const offline = (env: NodeJS.ProcessEnv): Connection => ({ url: '', apiKey: '', logins: loginsIn(env) })

function readStack(path: string): { api?: string | null; apiKey?: string | null } | undefined {
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { api?: string | null; apiKey?: string | null }
  } catch {
    throw new Usage(`${path} cannot be read: set AEGIS_URL and AEGIS_API_KEY instead`)
  }
}

export type Ask = { method: 'GET' | 'POST' | 'PUT' | 'DELETE'; path: string; query?: Record<string, string | undefined>; body?: unknown; headers?: Record<string, string> }
export type Answer<T> = { status: number; body: T }
export type Client = <T>(ask: Ask) => Promise<Answer<T>>

const timeoutMs = 15_000
/** For an answer that comes line by line. */
const streamTimeoutMs = 15 * 60_000

/** One call. Rejects with `Refused` for every problem document, and when nothing answers in time. */
export const clientOf = (connection: Connection): Client => async <T>(ask: Ask) => {
  const response = await send(connection, ask, timeoutMs)
  const answer = (await response.json().catch(() => undefined)) as T | Problem | undefined
  if (isProblem(response) && answer) throw refusedBy(answer as Problem)
  if (answer === undefined) throw notAegis(connection, response)
  return { status: response.status, body: answer as T }
}

/** The values of an answer that is one JSON value a line, as they come. A last line may say what went wrong on the way. */
export async function* linesOf<T extends object>(connection: Connection, ask: Ask): AsyncGenerator<T> {
  const response = await send(connection, ask, streamTimeoutMs)
  if (isProblem(response)) throw refusedBy((await response.json()) as Problem)
  if (!response.body || !response.headers.get('content-type')?.startsWith('application/x-ndjson')) throw notAegis(connection, response)
  let rest = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield valueOf<T>(line)
  }
}

function valueOf<T extends object>(line: string): T {
  const value = JSON.parse(line) as T | { problem: Problem }
  if ('problem' in value) throw refusedBy(value.problem)
  return value
}

/** Whoever asks these has no credential yet, or brings another one. */
const doors = ['/api/v1/auth/login', '/api/v1/auth/refresh', '/api/v1/auth/logout', '/api/v1/auth/reset', '/api/v1/auth/signup']

/** An access token that is about to run out is exchanged before it is used. */
async function credentialOf(connection: Connection): Promise<string> {
  if (connection.apiKey !== '') return connection.apiKey
  const login = connection.logins.read(connection.url)
  if (!login || login.expiresAtMs - Date.now() > 30_000) return login?.accessToken ?? ''
  const { refreshToken, deviceToken } = login
  const { body } = await clientOf(connection)<SessionAnswer>({ method: 'POST', path: '/api/v1/auth/refresh', body: { refreshToken, deviceToken } })
  return connection.logins.write(connection.url, loginOf(body, login)).accessToken
}

export type SessionAnswer = { accessToken: string; expiresIn: number; refreshToken: string; deviceToken: string | null }

export const loginOf = ({ accessToken, expiresIn, refreshToken, deviceToken }: SessionAnswer, before?: Pick<Login, 'deviceToken'>): Login => ({
  accessToken, refreshToken, deviceToken: deviceToken ?? before?.deviceToken ?? '', expiresAtMs: Date.now() + expiresIn * 1000,
})

async function send(connection: Connection, { method, path, query = {}, body, headers = {} }: Ask, limitMs: number): Promise<Response> {
  const { url } = connection
  const address = new URL(url + path)
  for (const [name, value] of Object.entries(query)) if (value !== undefined) address.searchParams.set(name, value)
  const token = doors.includes(path) ? '' : await credentialOf(connection)
  const credential: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` }
  const content: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  return fetch(address, { method, headers: { ...credential, ...content, ...headers }, ...sent, redirect: 'error', signal: AbortSignal.timeout(limitMs) })
    .catch((failure: unknown) => {
      throw new Refused(`${url} does not answer (${causeOf(failure)})`, 'check AEGIS_URL, and that the API is running: `aegis doctor` looks step by step')
    })
}

const isProblem = (response: Response): boolean => response.headers.get('content-type')?.startsWith('application/problem+json') === true

const refusedBy = (problem: Problem): Refused => new Refused(problem.detail, problem.nextStep, problem)

const notAegis = ({ url }: Connection, { status }: Response): Refused =>
  new Refused(`${url} answered ${status} with something that is not JSON`, 'check that AEGIS_URL is the address of Aegis')

function causeOf(failure: unknown): string {
  const { message, cause } = (failure ?? {}) as { message?: string; cause?: { code?: string; message?: string } }
  return cause?.code ?? cause?.message ?? message ?? 'no reason known'
}
