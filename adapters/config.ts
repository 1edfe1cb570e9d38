import { z } from 'zod'
import type { BreakerRules } from '../domain/guards/breaker.ts'
import type { FlapRule, LimitRule, LimitScope } from '../domain/limits.ts'
import { usualDwellMs } from '../domain/rules/dwell.ts'
import { usualLooks } from '../domain/watch/observe.ts'
import type { RateLimit } from '../domain/sliding-log.ts'
import { readBinding } from '../domain/identity.ts'
import { actionNames, modes, roles, type Binding, type Mode, type Role } from '../domain/remediation.ts'
import { isSafeScheme } from './outgoing/fetch.ts'

/** One cluster as a process knows it. Without a kubeconfig path the pod's own service account is used. */
export type ClusterConfig = { name: string; kubeconfig: string | undefined }

/** An exact sliding-log limit: at most `limit` effects of the action (`*`: of any) per `windowMs` in each scope. */
export type LimitSetting = Pick<LimitRule, 'action' | 'scope' | 'limit' | 'windowMs'>

const clusterName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const commaList = (text: string) => text.split(',').map((part) => part.trim()).filter((part) => part !== '')

const list = z.string().default('').transform(commaList)
const port = (fallback: number) => z.coerce.number().int().min(0).max(65535).default(fallback)
const milliseconds = (fallback: number) => z.coerce.number().int().min(1).max(7 * 86_400_000).default(fallback)
/** 0 switches it off. */
const millisecondsOrOff = (fallback: number) => z.coerce.number().int().min(0).max(30 * 86_400_000).default(fallback)
const percent = (least: number, fallback: number) => z.coerce.number().int().min(least).max(100).default(fallback)
const count = (fallback: number) => z.coerce.number().int().min(1).max(10_000).default(fallback)

/** `name=path,name2=path2`; a bare `name` means in-cluster credentials. */
const clusters = z.string().transform((text, context): ClusterConfig[] =>
  commaList(text).map((part) => {
    const [name = '', path] = part.split('=', 2)
    if (!clusterName.test(name)) context.addIssue(`\`${name}\` is not a cluster name: use lower-case letters, digits and dashes`)
    return { name, kubeconfig: path }
  }),
)

/** `shop=auto,payments=approve` */
const namespaceModes = z.string().default('').transform((text, context) => {
  const given = new Map<string, Mode>()
  for (const part of commaList(text)) {
    const [namespace = '', mode = ''] = part.split('=', 2)
    if (!(modes as readonly string[]).includes(mode)) context.addIssue(`\`${part}\` is not namespace=mode with a mode of ${modes.join(', ')}`)
    given.set(namespace, mode as Mode)
  }
  return given
})

const scopes: readonly LimitScope[] = ['namespace', 'workload', 'cluster']
const usualLimits = 'restart_pod=5/300s,scale_deployment=10/60s,rollback_deployment@workload=2/3600s,*@cluster=20/3600s'

/** `restart_pod=5/300s,rollback_deployment@workload=2/3600s,*@cluster=20/3600s`; without a scope it counts per namespace. */
const limits = z.string().default(usualLimits).transform((text, context) =>
  commaList(text).map((part): LimitSetting => {
    const [, action = '', scope = 'namespace', limit = '', seconds = ''] = /^(\w+|\*)(?:@(\w+))?=(\d{1,9})\/(\d{1,7})s$/.exec(part) ?? []
    const known = action === '*' || (actionNames as readonly string[]).includes(action)
    if (!known || !(scopes as readonly string[]).includes(scope) || Number(seconds) === 0) {
      context.addIssue(`\`${part}\` is not a limit: write action=count/seconds or action@scope=count/seconds with a scope of ${scopes.join(', ')}, such as restart_pod=5/300s or *@cluster=20/3600s`)
    }
    return { action: action as LimitSetting['action'], scope: scope as LimitScope, limit: Number(limit), windowMs: Number(seconds) * 1000 }
  }),
)

/** `3/3600s` */
const flap = z.string().default('3/3600s').transform((text, context): FlapRule => {
  const [, limit = '', seconds = ''] = /^([1-9]\d{0,5})\/([1-9]\d{0,6})s$/.exec(text) ?? []
  if (limit === '') context.addIssue(`\`${text}\` is not count/seconds, such as 3/3600s`)
  return { limit: Number(limit), windowMs: Number(seconds) * 1000 }
})

/** `3/3600s,30%/10`: failures within a window, or more than a share of the last so many. */
const breaker = z.string().default('3/3600s,30%/10').transform((text, context): BreakerRules => {
  const [, failures = '', seconds = '', percent = '', last = ''] = /^([1-9]\d{0,5})\/([1-9]\d{0,6})s,(\d{1,3})%\/([1-9]\d{0,3})$/.exec(text) ?? []
  if (failures === '') context.addIssue(`\`${text}\` is not count/seconds,percent%/count, such as 3/3600s,30%/10`)
  return { failures: Number(failures), windowMs: Number(seconds) * 1000, percent: Number(percent), last: Number(last) }
})

const httpLimitNames = ['principal', 'route', 'address'] as const

/** `principal=12000/10s,route=6000/10s,address=300/10s`; what is left out keeps its default. */
const httpLimits = z.string().default('').transform((text, context) => {
  const given: Record<(typeof httpLimitNames)[number], RateLimit> = {
    principal: { limit: 12_000, windowMs: 10_000 }, route: { limit: 6_000, windowMs: 10_000 }, address: { limit: 300, windowMs: 10_000 },
  }
  for (const part of commaList(text)) {
    const [, name = '', limit = '', seconds = ''] = /^(\w+)=([1-9]\d{0,6})\/([1-9]\d{0,4})s$/.exec(part) ?? []
    const known = httpLimitNames.find((each) => each === name)
    if (known) given[known] = { limit: Number(limit), windowMs: Number(seconds) * 1000 }
    else context.addIssue(`\`${part}\` is not a limit: write name=count/seconds with a name of ${httpLimitNames.join(', ')}, such as address=300/10s`)
  }
  return given
})

const common = {
  DATABASE_URL: z.string().min(1),
  AEGIS_HEALTH_HOST: z.string().default('127.0.0.1'),
  AEGIS_HEALTH_PORT: port(0),
  AEGIS_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
}

const temporalAddress = { TEMPORAL_ADDRESS: z.string().optional(), TEMPORAL_UI_URL: z.string().default('http://127.0.0.1:8233') }

/** What may be acted on, and how freely. A fresh install may look, never touch. */
const autonomy = {
  AEGIS_MODE: z.enum(modes).default('observe'),
  AEGIS_NAMESPACE_MODES: namespaceModes,
  AEGIS_NAMESPACES: list, // empty means none
  AEGIS_LIMITS: limits,
  AEGIS_CONCURRENCY_PER_CLUSTER: count(10),
  AEGIS_CONCURRENCY_PER_NAMESPACE: count(3),
  AEGIS_DISRUPTION_WORKLOAD_PERCENT: percent(1, 20),
  AEGIS_DISRUPTION_NAMESPACE_PERCENT: percent(1, 10),
  AEGIS_DISRUPTION_WINDOW_MS: milliseconds(10 * 60_000),
  AEGIS_MAJORITY_STOP_PERCENT: percent(0, 40),
  AEGIS_FLAP: flap,
  AEGIS_BREAKER: breaker,
  AEGIS_AFTER_ROLLOUT_MS: millisecondsOrOff(10 * 60_000),
  AEGIS_AFTER_ACTION_MS: millisecondsOrOff(10 * 60_000),
  AEGIS_POLICY_TRIAL_MS: millisecondsOrOff(24 * 3_600_000),
  AEGIS_PRODUCTION_NAMESPACES: list, // empty means that none is
}

const timing = {
  AEGIS_DEADLINE_MS: milliseconds(30 * 60_000),
  AEGIS_APPROVAL_TIMEOUT_MS: milliseconds(15 * 60_000),
  AEGIS_SETTLE_MS: milliseconds(10_000),
  AEGIS_VERIFY_TIMEOUT_MS: milliseconds(5 * 60_000),
}

const rules = { AEGIS_RULES_FILE: z.string().default('rules/default.yaml') }

/** Whoever decides by policies checks that they are the ones that were signed. */
const policies = { AEGIS_POLICY_PUBLIC_KEYS_FILE: z.string().min(1) }

const isRole = (word: string): word is Role => (roles as readonly string[]).includes(word)

/** `sre=approver@main/shop,sre=user,platform=admin` */
const roleMap = z.string().default('').transform((text, context) => {
  const given = new Map<string, Binding[]>()
  for (const part of commaList(text)) {
    const at = part.lastIndexOf('=')
    const binding = readBinding(part.slice(at + 1), isRole)
    if (at < 1 || !binding) context.addIssue(`\`${part}\` is not group=role or group=role@cluster/namespace with a role of ${roles.join(', ')}`)
    else given.set(part.slice(0, at), [...(given.get(part.slice(0, at)) ?? []), binding])
  }
  return given
})

const onOff = (fallback: 'on' | 'off') => z.enum(['on', 'off']).default(fallback).transform((word) => word === 'on')

/** An address without a slash at its end; plain HTTP only inside this machine. */
const address = z.string().transform((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !isSafeScheme(url)) context.addIssue(`\`${text}\` is not an https:// address (http:// is for this machine alone)`)
  return text.replace(/\/$/, '')
})

/** `https://keys.example,https://login.example:8443` */
const origins = list.transform((given, context) => {
  for (const one of given) {
    const url = URL.canParse(one) ? new URL(one) : undefined
    if (!url || !isSafeScheme(url) || url.origin !== one) context.addIssue(`\`${one}\` is not an origin: write https://host or https://host:port, without a path`)
  }
  return given
})

/** What is left empty is not set. */
const unlessEmpty = <S extends z.ZodType>(schema: S) => z.preprocess((text) => (text === '' ? undefined : text), schema.optional())

/** How people log in. */
const accounts = {
  AEGIS_TOKEN_KEY_FILE: z.string().min(1),
  AEGIS_TOKEN_PUBLIC_KEYS_FILE: z.string().min(1),
  AEGIS_PUBLIC_URL: address.prefault('http://127.0.0.1:3000'),
  AEGIS_SIGNUP: onOff('off'),
  AEGIS_LOCAL_LOGIN: onOff('on'),
  AEGIS_BOOTSTRAP_FILE: z.string().optional(),
  AEGIS_TRUSTED_PROXIES: z.coerce.number().int().min(0).max(5).default(0),
  AEGIS_OIDC_ISSUER: unlessEmpty(address),
  AEGIS_OIDC_ORIGINS: origins, // besides the issuer's own
  AEGIS_OIDC_CLIENT_ID: z.string().default('aegis'),
  AEGIS_OIDC_CLIENT_SECRET_FILE: unlessEmpty(z.string()),
  AEGIS_OIDC_GROUPS_CLAIM: z.string().default('groups'),
  AEGIS_OIDC_ROLES: roleMap,
  UV_THREADPOOL_SIZE: z.coerce.number().int().min(1).max(1024).default(4), // Node's own: passwords are hashed in these threads
}

const api = z.object({
  ...common,
  ...temporalAddress,
  ...rules,
  ...policies,
  AEGIS_POLICY_KEY_FILE: z.string().min(1),
  AEGIS_POLICY_DIRECTORY: z.string().default('policies'), // empty means no sync
  AEGIS_POLICY_FOUR_EYES: z.enum(['on', 'off']).default('on'),
  AEGIS_CLUSTERS: clusters.prefault('local'),
  AEGIS_NAMESPACES: list,
  AEGIS_MODE: z.enum(modes).default('observe'),
  AEGIS_DEADLINE_MS: timing.AEGIS_DEADLINE_MS,
  AEGIS_FIRST_KEY_FILE: z.string().optional(),
  AEGIS_AUDIENCE: z.string().regex(/^([A-Za-z0-9][A-Za-z0-9._:/-]{0,127})?$/, 'must be a name such as aegis-production, or an address').default(''), // empty means no signatures
  AEGIS_CALLER_KEYS_FILE: z.string().default(''), // empty means no shared secrets
  AEGIS_HTTP_LIMITS: httpLimits,
  ...accounts,
  HOST: z.string().default('127.0.0.1'),
  PORT: port(3000),
})

const decision = z.object({
  ...common,
  ...temporalAddress,
  ...autonomy,
  ...timing,
  ...policies,
  AEGIS_CLUSTERS: clusters.prefault('local'),
  KUBECONFIG: z.string().optional(),
  AEGIS_WARRANT_KEY_FILE: z.string().min(1),
  AEGIS_IN_FLIGHT_LIMIT: count(10),
  AEGIS_RECONCILE_IDLE_MS: milliseconds(60_000),
  AEGIS_RECONCILE_EVERY_MS: milliseconds(15_000),
})

const execution = z.object({
  ...common,
  ...temporalAddress,
  AEGIS_CLUSTER: z.string().regex(clusterName).default('local'),
  KUBECONFIG: z.string().optional(),
  AEGIS_NAMESPACES: list,
  AEGIS_WARRANT_PUBLIC_KEYS_FILE: z.string().min(1),
  AEGIS_DIGEST_KEY_FILE: z.string().optional(),
})

const watcher = z.object({
  ...common,
  ...rules,
  AEGIS_CLUSTERS: clusters.prefault('local'),
  KUBECONFIG: z.string().optional(),
  AEGIS_WATCH_NAMESPACES: list, // empty means all but the protected ones
  AEGIS_DEADLINE_MS: timing.AEGIS_DEADLINE_MS,
  AEGIS_MAJORITY_STOP_PERCENT: autonomy.AEGIS_MAJORITY_STOP_PERCENT,
  AEGIS_WATCH_REQUESTS_PER_MINUTE: count(30),
  AEGIS_WATCH_DWELL_MS: milliseconds(usualDwellMs),
  AEGIS_WATCH_LOOKS: count(usualLooks.looks),
  AEGIS_WATCH_FRESH_MS: milliseconds(usualLooks.freshMs),
})

const guard = z.object({
  ...common,
  AEGIS_CLUSTERS: clusters.prefault('local'),
  KUBECONFIG: z.string().optional(),
})

function read<Schema extends z.ZodType>(schema: Schema, env: NodeJS.ProcessEnv): z.output<Schema> {
  const { success, data, error } = schema.safeParse(env)
  if (success) return data
  const sentences = error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
  throw new Error(`Aegis cannot start:\n${sentences.join('\n')}`)
}

/** `KUBECONFIG` serves every cluster that names no file of its own. */
const withKubeconfig = <C extends { AEGIS_CLUSTERS: ClusterConfig[]; KUBECONFIG?: string | undefined }>(config: C): C => ({
  ...config,
  AEGIS_CLUSTERS: config.AEGIS_CLUSTERS.map((cluster) => ({ ...cluster, kubeconfig: cluster.kubeconfig ?? config.KUBECONFIG })),
})

export type ApiConfig = z.output<typeof api>
export type DecisionConfig = z.output<typeof decision>
export type ExecutionConfig = z.output<typeof execution>
export type WatcherConfig = z.output<typeof watcher>
export type GuardConfig = z.output<typeof guard>

/** Each entry point reads its own table once; an error names the variable and stops the process. */
export function apiConfig(env: NodeJS.ProcessEnv): ApiConfig {
  refuseSharedSecrets(env)
  return read(api, env)
}
export const decisionConfig = (env: NodeJS.ProcessEnv): DecisionConfig => withKubeconfig(read(decision, env))
export const executionConfig = (env: NodeJS.ProcessEnv): ExecutionConfig => read(execution, env)
export const watcherConfig = (env: NodeJS.ProcessEnv): WatcherConfig => withKubeconfig(read(watcher, env))
export const guardConfig = (env: NodeJS.ProcessEnv): GuardConfig => withKubeconfig(read(guard, env))

/** One secret for logins and for actions would make every login an order: each purpose has a key of its own. */
function refuseSharedSecrets(env: NodeJS.ProcessEnv): void {
  if ('JWT_SECRET' in env) {
    throw new Error('Aegis cannot start:\n  JWT_SECRET: a shared secret for tokens is not used here, because whoever can check a token could make one: remove it, and set AEGIS_TOKEN_KEY_FILE')
  }
  const purposes = ['AEGIS_TOKEN_KEY_FILE', 'AEGIS_POLICY_KEY_FILE', 'AEGIS_WARRANT_KEY_FILE', 'AEGIS_DIGEST_KEY_FILE'].filter((name) => name in env)
  for (const [index, name] of purposes.entries()) {
    const other = purposes.slice(0, index).find((before) => env[before] === env[name])
    if (other !== undefined) throw new Error(`Aegis cannot start:\n  ${name}: \`${env[name]}\` is ${other} already: make a key file for each purpose`)
  }
}

/** The one place that touches the process environment. */
export const processEnvironment = (): NodeJS.ProcessEnv => process.env
