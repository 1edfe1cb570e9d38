import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { apiConfig, decisionConfig, executionConfig, guardConfig, watcherConfig } from '../../adapters/config.ts'
import { searchAttributes } from '../../workflows/names.ts'
import { parseCompose, type Compose, type Service } from './compose.ts'
import type { Check, Finding } from './finding.ts'

const readers: Record<string, (env: NodeJS.ProcessEnv) => object> = {
  api: apiConfig,
  decision: decisionConfig,
  execution: executionConfig,
  watcher: watcherConfig,
  guard: guardConfig,
}

/** Read by the Temporal SDK's own configuration, not by ours. */
const readByTemporal = ['TEMPORAL_NAMESPACE']

/** Has to fit the networks, mounts and ports of the stack, so it is the stack's to say and not `settings.env`'s. */
const decidedByStack = new Set([
  'DATABASE_URL', 'TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE', 'TEMPORAL_UI_URL', 'AEGIS_CLUSTERS', 'KUBECONFIG',
  'AEGIS_POLICY_DIRECTORY', 'AEGIS_POLICY_KEY_FILE', 'AEGIS_POLICY_PUBLIC_KEYS_FILE', 'AEGIS_RULES_FILE', 'AEGIS_WARRANT_KEY_FILE', 'AEGIS_WARRANT_PUBLIC_KEYS_FILE', 'AEGIS_DIGEST_KEY_FILE', 'AEGIS_CALLER_KEYS_FILE',
  'AEGIS_FIRST_KEY_FILE', 'AEGIS_BOOTSTRAP_FILE', 'UV_THREADPOOL_SIZE', 'AEGIS_TOKEN_KEY_FILE', 'AEGIS_TOKEN_PUBLIC_KEYS_FILE', 'AEGIS_HEALTH_HOST', 'AEGIS_HEALTH_PORT', 'HOST', 'PORT',
])

/** The Temporal of the stack asks for neither. */
const notOfStack = ['TEMPORAL_API_KEY', 'TEMPORAL_TLS*']

/** What is deployed fits what the code reads and the pages promise: environment variables, search attributes. */
export const settings: Check = {
  name: 'settings',
  async run(root) {
    const stack = parseCompose(readFileSync(join(root, 'docker-compose.yml'), 'utf8')) as Compose
    const attributes = readFileSync(join(root, 'deploy/temporal/search-attributes.txt'), 'utf8')
    const table = readFileSync(join(root, 'docs/configuration.md'), 'utf8')
    const unstartable = environmentFaults(stack)
    const passing = unstartable.length > 0 ? [] : [...passingFaults(stack, table), ...defaultFaults(stack)]
    return [...unstartable, ...passing, ...attributeFaults(attributes)]
  },
}

/** Each process starts with what docker-compose.yml gives it, and is given nothing it does not read. */
export function environmentFaults({ services }: Compose): Finding[] {
  return Object.entries(readers).flatMap(([name, read]) => {
    const env = environmentOf(services[name])
    const fault = failureOf(() => read(env))
    if (fault !== undefined) return [`docker-compose.yml: ${name}: ${fault}`]
    return unread(env, read).map((key) => `docker-compose.yml: ${name}: is given \`${key}\`, which nothing reads`)
  })
}

const environmentOf = (service: Service | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(service?.environment ?? {}).map(([key, value]) => [key, filledIn(String(value))]))

/** Every documented setting reaches the processes that are said to read it, and can be set; what a process reads is documented. */
export function passingFaults({ services }: Compose, table: string): Finding[] {
  const settings = documented(table)
  const passed = settings.flatMap(({ name, processes }) => processes.flatMap((process) => {
    const value = services[process]?.environment?.[name]
    if (value === undefined) return [`docker-compose.yml: ${process}: is not given \`${name}\`, which docs/configuration.md says it reads`]
    if (decidedByStack.has(name) || takesFromOutside(name, value)) return []
    return [`docker-compose.yml: ${process}: \`${name}\` cannot be set in settings.env: write \`\${${name}:-<default>}\``]
  }))
  const asked = new Set(Object.entries(readers).flatMap(([process, read]) => [...askedFor(environmentOf(services[process]), read)]))
  const named = new Set(settings.map(({ name }) => name))
  return [...passed, ...[...asked].filter((name) => !named.has(name)).map((name) => `docs/configuration.md: \`${name}\` is missing: adapters/config.ts reads it`)]
}

const takesFromOutside = (name: string, value: string | number): boolean => String(value).startsWith(`\${${name}:-`)

const spoken: Record<string, string[]> = { all: Object.keys(readers), workers: ['decision', 'execution'] }

/** Rows of the table in docs/configuration.md: names in backticks, then who reads them. */
const documented = (table: string): { name: string; processes: string[] }[] =>
  [...table.matchAll(/^\| (`.+?`) \| ([a-z, ]+) \|/gm)].flatMap(([, names = '', who = '']) => {
    const processes = who.split(', ').flatMap((one) => spoken[one] ?? [one])
    return [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => ({ name, processes })).filter(({ name }) => !notOfStack.includes(name))
  })

/** Left alone, a setting is under Compose what it is without. */
export const defaultFaults = ({ services }: Compose): Finding[] =>
  Object.entries(readers).flatMap(([process, read]) => {
    const env = environmentOf(services[process])
    const passed = Object.entries(services[process]?.environment ?? {}).filter(([name, value]) => takesFromOutside(name, value) && !decidedByStack.has(name))
    return passed
      .filter(([name]) => !isDeepStrictEqual(read(env), read({ ...env, [name]: undefined })))
      .map(([name]) => `docker-compose.yml: ${process}: the default of \`${name}\` is not the one of adapters/config.ts`)
  })

/** What Compose makes of `${NAME:-default}` and `${NAME:?message}` when each asked-for name is set. */
const filledIn = (value: string): string => value.replace(/\$\{([A-Z_]+):([-?])([^}]*)\}/g, (_all, name: string, kind: string, rest: string) => (kind === '-' ? rest : `given-${name.toLowerCase()}`))

/** A reader asks for the variables it knows and for no other. */
function unread(env: NodeJS.ProcessEnv, read: (env: NodeJS.ProcessEnv) => object): string[] {
  const asked = askedFor(env, read)
  return Object.keys(env).filter((key) => !asked.has(key))
}

function askedFor(env: NodeJS.ProcessEnv, read: (env: NodeJS.ProcessEnv) => object): Set<string> {
  const asked = new Set(readByTemporal)
  read(new Proxy(env, { get: (target, key) => (asked.add(String(key)), Reflect.get(target, key)) }))
  return asked
}

function failureOf(work: () => unknown): string | undefined {
  try {
    work()
    return undefined
  } catch (failure) {
    return (failure as Error).message.replace(/\s+/g, ' ')
  }
}

/** An attribute that is not registered makes Temporal refuse the workflow that sets it. */
export function attributeFaults(text: string, wanted: object = searchAttributes): Finding[] {
  const registered = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const known = Object.values(wanted as typeof searchAttributes).map(({ name, type }) => `${name} ${camelCase(type)}`)
  return [
    ...known.filter((line) => !registered.includes(line)).map((line) => `deploy/temporal/search-attributes.txt: \`${line}\` is missing: workflows/names.ts has it`),
    ...registered.filter((line) => !known.includes(line)).map((line) => `deploy/temporal/search-attributes.txt: \`${line}\` is not in workflows/names.ts`),
  ]
}

/** `KEYWORD_LIST` is `KeywordList` on the command line. */
const camelCase = (type: string): string => type.split('_').map((word) => `${word.slice(0, 1)}${word.slice(1).toLowerCase()}`).join('')
