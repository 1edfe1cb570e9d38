import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiConfig, decisionConfig, executionConfig, watcherConfig } from '../../adapters/config.ts'
import { searchAttributes } from '../../workflows/names.ts'
import { parseCompose, type Compose } from './compose.ts'
import type { Check, Finding } from './finding.ts'

const readers: Record<string, (env: NodeJS.ProcessEnv) => object> = {
  api: apiConfig,
  decision: decisionConfig,
  execution: executionConfig,
  watcher: watcherConfig,
}

/** Read by the Temporal SDK's own configuration, not by ours. */
const readByTemporal = ['TEMPORAL_NAMESPACE']

/** What is deployed fits what the code reads: environment variables, search attributes. */
export const settings: Check = {
  name: 'settings',
  async run(root) {
    const stack = parseCompose(readFileSync(join(root, 'docker-compose.yml'), 'utf8')) as Compose
    const attributes = readFileSync(join(root, 'deploy/temporal/search-attributes.txt'), 'utf8')
    return [...environmentFaults(stack), ...attributeFaults(attributes)]
  },
}

/** Each process starts with what docker-compose.yml gives it, and is given nothing it does not read. */
export function environmentFaults({ services }: Compose): Finding[] {
  return Object.entries(readers).flatMap(([name, read]) => {
    const env = Object.fromEntries(Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [key, filledIn(String(value))]))
    const fault = failureOf(() => read(env))
    if (fault !== undefined) return [`docker-compose.yml: ${name}: ${fault}`]
    return unread(env, read).map((key) => `docker-compose.yml: ${name}: is given \`${key}\`, which nothing reads`)
  })
}

/** What Compose makes of `${NAME:-default}` and `${NAME:?message}` when each asked-for name is set. */
const filledIn = (value: string): string => value.replace(/\$\{([A-Z_]+):([-?])([^}]*)\}/g, (_all, name: string, kind: string, rest: string) => (kind === '-' ? rest : `given-${name.toLowerCase()}`))

/** A reader asks for the variables it knows and for no other. */
function unread(env: NodeJS.ProcessEnv, read: (env: NodeJS.ProcessEnv) => object): string[] {
  const asked = new Set<PropertyKey>(readByTemporal)
  read(new Proxy(env, { get: (target, key) => (asked.add(key), Reflect.get(target, key)) }))
  return Object.keys(env).filter((key) => !asked.has(key))
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
