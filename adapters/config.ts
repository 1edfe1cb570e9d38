import { z } from 'zod'
import { actionNames, modes, type ActionName, type Mode } from '../domain/remediation.ts'

/** One cluster as a process knows it. Without a kubeconfig path the pod's own service account is used. */
export type ClusterConfig = { name: string; kubeconfig: string | undefined }

/** An exact sliding-log limit: at most `limit` effects per `windowMs` in each namespace. */
export type NamespaceLimit = { action: ActionName; limit: number; windowMs: number }

const clusterName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const commaList = (text: string) => text.split(',').map((part) => part.trim()).filter((part) => part !== '')

const list = z.string().default('').transform(commaList)
const port = (fallback: number) => z.coerce.number().int().min(0).max(65535).default(fallback)
const milliseconds = (fallback: number) => z.coerce.number().int().min(1).max(7 * 86_400_000).default(fallback)
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

/** `restart_pod=5/300s,scale_deployment=10/60s` */
const limits = z.string().default('restart_pod=5/300s,scale_deployment=10/60s,rollback_deployment=10/3600s').transform((text, context) =>
  commaList(text).map((part): NamespaceLimit => {
    const [, action = '', limit = '', seconds = ''] = /^(\w+)=(\d+)\/(\d+)s$/.exec(part) ?? []
    if (!(actionNames as readonly string[]).includes(action)) {
      context.addIssue(`\`${part}\` is not a limit: write action=count/seconds, such as restart_pod=5/300s`)
    }
    return { action: action as ActionName, limit: Number(limit), windowMs: Number(seconds) * 1000 }
  }),
)

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
  AEGIS_MAJORITY_STOP_PERCENT: z.coerce.number().int().min(0).max(100).default(40),
  AEGIS_WATCH_REQUESTS_PER_MINUTE: count(30),
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

/** Each entry point reads its own table once; an error names the variable and stops the process. */
export const apiConfig = (env: NodeJS.ProcessEnv): ApiConfig => read(api, env)
export const decisionConfig = (env: NodeJS.ProcessEnv): DecisionConfig => withKubeconfig(read(decision, env))
export const executionConfig = (env: NodeJS.ProcessEnv): ExecutionConfig => read(execution, env)
export const watcherConfig = (env: NodeJS.ProcessEnv): WatcherConfig => withKubeconfig(read(watcher, env))

/** The one place that touches the process environment. */
export const processEnvironment = (): NodeJS.ProcessEnv => process.env
