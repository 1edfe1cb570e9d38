import type { Knex } from 'knex'
import { z } from 'zod'
import type { ApiMetrics } from '../adapters/metrics.ts'
import type { Logger } from '../adapters/log.ts'
import type { Publisher } from '../adapters/policies/publish.ts'
import type { DirectorySync } from '../adapters/policies/sync.ts'
import type { PolicyAuditDraft } from '../adapters/postgres/policy-audit.ts'
import type { Mode, Principal } from '../domain/remediation.ts'
import type { TemporalHealth } from '../temporal/health.ts'
import type { AnswerDelivery } from '../temporal/signals.ts'
import { defaultBodyLimitBytes, type Apart } from './body.ts'
import type { KeyLookup } from './authentication.ts'
import type { Callers, SignedCaller } from './callers.ts'
import type { Grouped } from './grouped.ts'
import type { AlertRules, Policies } from './ports.ts'
import type { Permission } from './permissions.ts'

/** What the API needs to know of its settings; nothing in here is secret. */
export type ApiSettings = {
  version: string
  /** Names of the clusters; the first is the default one. */
  clusters: readonly string[]
  namespaces: readonly string[]
  mode: Mode
  deadlineMs: number
  temporalUiUrl: string
  temporalNamespace: string
  policyDirectory: string
  /** A change of policies through the API that lets more happen waits for a second person. */
  policyFourEyes: boolean
  rulesFile: string
  logLevel: string
  /** What requests to this installation are signed for; empty means that no signatures are taken. */
  audience: string
}

export type ApiDeps = {
  settings: ApiSettings
  db: Knex
  findKey: KeyLookup
  callers: Callers
  policies: Policies
  /** Signs and publishes policies. */
  publisher: Publisher
  /** Returns when it is on record. */
  auditPolicy: Grouped<PolicyAuditDraft>
  /** Null: no directory is synced. */
  sync: DirectorySync | null
  /** Takes what was just published, without waiting to be told. */
  refreshPolicies: () => Promise<void>
  rules: AlertRules
  /** Best effort and bounded in time: the relay delivers what is `later`. */
  deliver: (delivery: AnswerDelivery) => Promise<'delivered' | 'later'>
  temporal: () => Promise<TemporalHealth>
  log: Logger
  metrics: ApiMetrics
}

/** The only paths that may be declared public. */
export const publicPaths = ['/api/v1/health', '/api/v1/health/ping', '/health', '/openapi.json', '/metrics'] as const
export type PublicPath = (typeof publicPaths)[number]

export type Method = 'get' | 'post' | 'put' | 'delete'
type Outputs = { readonly [status: number]: z.ZodType }
type Parsed<S> = S extends z.ZodType ? z.output<S> : Record<string, never>

/** One of the declared statuses with a body its schema allows. */
export type ReplyOf<O extends Outputs> = { [S in keyof O & number]: { status: S; body: z.input<O[S] & z.ZodType> } }[keyof O & number]

type Description = { summary: string; tag: string; description?: string }

/** What every handler gets: parsed input, and never the raw request. */
type Input<P, Q, B> = { deps: ApiDeps; params: Parsed<P>; query: Parsed<Q>; body: Parsed<B>; requestId: string }

type Shape<O extends Outputs, P, Q, B> = Description & { output: O; params?: P; query?: Q; body?: B }

type Guarded<O extends Outputs, P, Q, B> = Shape<O, P, Q, B> & {
  method: Method
  path: string
  /** Nobody enters without it; there is no route without one. */
  permission: Permission
  /** Takes an Idempotency-Key header. */
  idempotent?: boolean
  /** Takes a signature in the place of a key. */
  signed?: boolean
  /** Where a body may be larger than most. */
  bodyLimitBytes?: number
  /** Where one odd item must not cost the others. */
  apart?: Apart
  handle: (call: Input<P, Q, B> & { principal: Principal; caller: SignedCaller | null; idempotencyKey: string | null }) => Promise<ReplyOf<O>>
}

/** Answers with one line of JSON after the other while it works; what it says before the first one is an ordinary problem. */
type Streaming<L extends z.ZodType, P, Q, B> = Omit<Guarded<{ 200: L }, P, Q, B>, 'handle' | 'output'> & {
  line: L
  handle: (call: Input<P, Q, B> & { principal: Principal }) => Promise<AsyncIterable<z.input<L>>>
}

type Open<O extends Outputs> = Description & { path: PublicPath; output: O; produces?: string; handle: (call: { deps: ApiDeps }) => Promise<ReplyOf<O>> }

export type Call = {
  deps: ApiDeps
  params: unknown
  query: unknown
  body: unknown
  requestId: string
  principal: Principal | null
  caller: SignedCaller | null
  idempotencyKey: string | null
}

/** A route as the table holds it: the same facts for the server, OpenAPI and the tests. */
export type Route = Description & {
  method: Method
  path: string
  permission: Permission | 'public'
  idempotent: boolean
  signed: boolean
  /** Content type of the answer; JSON unless it says otherwise. */
  produces: string
  params: z.ZodObject | null
  query: z.ZodObject | null
  body: z.ZodType | null
  bodyLimitBytes: number
  apart: Apart | null
  output: Outputs
  handle: (call: Call) => Promise<{ status: number; body: unknown }>
}

/** An answer whose status TypeScript keeps as the number it is. */
export const reply = <const S extends number, const B>(status: S, body: B): { status: S; body: B } => ({ status, body })

const json = 'application/json'
/** Newline-delimited JSON. */
export const ndjson = 'application/x-ndjson'

export function route<
  const O extends Outputs,
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(declared: Guarded<O, P, Q, B>): Route {
  const { params = null, query = null, body = null, bodyLimitBytes = defaultBodyLimitBytes, idempotent = false, signed = false, apart = null } = declared
  return { ...declared, params, query, body, bodyLimitBytes, idempotent, signed, apart, produces: json, handle: declared.handle as unknown as Route['handle'] }
}

export function streamRoute<
  const L extends z.ZodType,
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>({ line, handle, ...declared }: Streaming<L, P, Q, B>): Route {
  const lines = async (call: Parameters<typeof handle>[0]) => reply(200, await handle(call))
  return { ...route({ ...declared, output: { 200: line }, handle: lines as never }), produces: ndjson }
}

export function publicRoute<const O extends Outputs>(declared: Open<O>): Route {
  const nothing = { params: null, query: null, body: null, bodyLimitBytes: defaultBodyLimitBytes, idempotent: false, signed: false, apart: null }
  const { produces = json } = declared
  return { ...declared, ...nothing, method: 'get', permission: 'public', produces, handle: declared.handle as unknown as Route['handle'] }
}
