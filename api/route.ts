import type { Knex } from 'knex'
import { z } from 'zod'
import type { ApiMetrics } from '../adapters/metrics.ts'
import type { Logger } from '../adapters/log.ts'
import type { Publisher } from '../adapters/policies/publish.ts'
import type { DirectorySync } from '../adapters/policies/sync.ts'
import type { PolicyAuditDraft } from '../adapters/postgres/policy-audit.ts'
import type { Area } from '../domain/identity.ts'
import type { Mode, Principal } from '../domain/remediation.ts'
import type { TemporalHealth } from '../temporal/health.ts'
import type { AnswerDelivery } from '../temporal/signals.ts'
import { defaultBodyLimitBytes, type Apart } from './body.ts'
import type { Accounts } from './accounts.ts'
import type { KeyLookup } from './authentication.ts'
import type { Callers, SignedCaller } from './callers.ts'
import type { ClientFacts } from './client.ts'
import type { Grouped } from './grouped.ts'
import type { HttpLimits } from './http-limits.ts'
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
  accounts: Accounts
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
  httpLimits: HttpLimits
  log: Logger
  metrics: ApiMetrics
}

/** The only paths that may be declared public. */
export const publicPaths = ['/api/v1/health', '/api/v1/health/ping', '/health', '/openapi.json', '/metrics', '/.well-known/jwks.json'] as const
export type PublicPath = (typeof publicPaths)[number]

/** Ways in: whoever calls them has no credential yet, or one that is no access token. */
export const doorPaths = [
  '/api/v1/auth/signup',
  '/api/v1/auth/login',
  '/api/v1/auth/refresh',
  '/api/v1/auth/logout',
  '/api/v1/auth/reset',
  '/api/v1/auth/oidc/start',
  '/api/v1/auth/oidc/callback',
] as const
export type DoorPath = (typeof doorPaths)[number]

/** Who calls, with everything that says what they may do. */
export type Caller = Required<Principal>
/** Of a person with an access token; null for keys. Epoch milliseconds. */
export type CallerSession = { sessionId: string; userId: string; authTimeMs: number }

export type Method = 'get' | 'post' | 'put' | 'delete'
type Outputs = { readonly [status: number]: z.ZodType }
type Parsed<S> = S extends z.ZodType ? z.output<S> : Record<string, never>

/** One of the declared statuses with a body its schema allows. */
export type ReplyOf<O extends Outputs> = { [S in keyof O & number]: { status: S; body: z.input<O[S] & z.ZodType>; headers?: ReplyHeaders } }[keyof O & number]
export type ReplyHeaders = Record<string, string | string[]>

type Description = { summary: string; tag: string; description?: string }

/**
 * Where the permission has to hold. `global`: everywhere. `anywhere`: in some place, because what the route is about
 * belongs to none. `filtered`: in some place, and the handler shows or takes what lies in `areas` alone. A function:
 * in the area that the call names. `lookUp`: in the area of the record that the call names; undefined when there is none.
 */
export type Scope<P = unknown, Q = unknown, B = unknown> =
  | 'global'
  | 'anywhere'
  | 'filtered'
  | ((call: { params: P; query: Q; body: B }, settings: ApiSettings) => Area)
  | { lookUp: (call: { params: P; query: Q; body: B }, deps: ApiDeps) => Promise<Area | undefined> }

/** What every handler gets: parsed input, and never the raw request. */
type Input<P, Q, B> = { deps: ApiDeps; params: Parsed<P>; query: Parsed<Q>; body: Parsed<B>; requestId: string }

type Shape<O extends Outputs, P, Q, B> = Description & { output: O; params?: P; query?: Q; body?: B }

type Guarded<O extends Outputs, P, Q, B> = Shape<O, P, Q, B> & {
  method: Method
  path: string
  /** Nobody enters without it; there is no route without one. */
  permission: Permission
  scope: Scope<Parsed<P>, Parsed<Q>, Parsed<B>>
  /** A person has to have proven who they are within the last 5 minutes. Keys prove it with every call. */
  stepUp?: true
  /** Takes an Idempotency-Key header. */
  idempotent?: boolean
  /** Takes a signature in the place of a key. */
  signed?: boolean
  /** Where a body may be larger than most. */
  bodyLimitBytes?: number
  /** Where one odd item must not cost the others. */
  apart?: Apart
  handle: (call: Input<P, Q, B> & Called & { caller: SignedCaller | null; idempotencyKey: string | null }) => Promise<ReplyOf<O>>
}

/**
 * `principal` has the roles and bindings that hold where the call is about; all of them where it is about no place.
 * `areas`: where the route's permission holds, null for everywhere.
 */
type Called = { principal: Caller; areas: Area[] | null; session: CallerSession | null; client: ClientFacts }

/** Answers with one line of JSON after the other while it works; what it says before the first one is an ordinary problem. */
type Streaming<L extends z.ZodType, P, Q, B> = Omit<Guarded<{ 200: L }, P, Q, B>, 'handle' | 'output'> & {
  line: L
  handle: (call: Input<P, Q, B> & Called) => Promise<AsyncIterable<z.input<L>>>
}

type Open<O extends Outputs> = Description & { path: PublicPath; output: O; produces?: string; handle: (call: { deps: ApiDeps }) => Promise<ReplyOf<O>> }

/** A way in. The credential is in the body or in a cookie, and the handler looks at it itself. */
type Door<O extends Outputs, Q, B> = Description & {
  method: 'get' | 'post'
  path: DoorPath
  query?: Q
  body?: B
  output: O
  handle: (call: Omit<Input<undefined, Q, B>, 'params'> & { client: ClientFacts }) => Promise<ReplyOf<O>>
}

export type Call = {
  deps: ApiDeps
  params: unknown
  query: unknown
  body: unknown
  requestId: string
  principal: Caller | null
  areas: Area[] | null
  session: CallerSession | null
  client: ClientFacts
  caller: SignedCaller | null
  idempotencyKey: string | null
}

/** A route as the table holds it: the same facts for the server, OpenAPI and the tests. */
export type Route = Description & {
  method: Method
  path: string
  permission: Permission | 'public'
  /** Null for what is public. */
  scope: Scope | null
  stepUp: boolean
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
  handle: (call: Call) => Promise<{ status: number; body: unknown; headers?: ReplyHeaders }>
}

/** An answer whose status TypeScript keeps as the number it is. */
export const reply = <const S extends number, const B>(status: S, body: B, headers?: ReplyHeaders): { status: S; body: B; headers?: ReplyHeaders } =>
  headers ? { status, body, headers } : { status, body }

const json = 'application/json'
/** Newline-delimited JSON. */
export const ndjson = 'application/x-ndjson'

export function route<
  const O extends Outputs,
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(declared: Guarded<O, P, Q, B>): Route {
  const { params = null, query = null, body = null, bodyLimitBytes = defaultBodyLimitBytes, idempotent = false, signed = false, apart = null, stepUp = false } = declared
  const scope = declared.scope as Scope
  return { ...declared, scope, stepUp, params, query, body, bodyLimitBytes, idempotent, signed, apart, produces: json, handle: declared.handle as unknown as Route['handle'] }
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

const nobody = { params: null, query: null, body: null, bodyLimitBytes: defaultBodyLimitBytes, idempotent: false, signed: false, apart: null, permission: 'public', scope: null, stepUp: false } as const

export function publicRoute<const O extends Outputs>(declared: Open<O>): Route {
  const { produces = json } = declared
  return { ...nobody, ...declared, method: 'get', produces, handle: declared.handle as unknown as Route['handle'] }
}

export function doorRoute<const O extends Outputs, Q extends z.ZodObject | undefined = undefined, B extends z.ZodType | undefined = undefined>(declared: Door<O, Q, B>): Route {
  const { query = null, body = null } = declared
  return { ...nobody, ...declared, query, body, produces: json, handle: declared.handle as unknown as Route['handle'] }
}
