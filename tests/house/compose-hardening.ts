import type { Compose, Service } from './compose.ts'
import type { Finding } from './finding.ts'

type Rule = { holds(service: Service): boolean; fault: string }

const secretName = /(?:PASSWORD|PWD|SECRET|TOKEN|PRIVATE)/

/** What docs/deploy.md promises of every container. */
const rules: readonly Rule[] = [
  { holds: ({ image }) => /:[\w.-]*\d[\w.-]*(?:@sha256:[0-9a-f]{64})?$/.test(image), fault: 'its image is not pinned to a version' },
  { holds: ({ read_only }) => read_only === true, fault: 'may write to its image: set `read_only: true`' },
  { holds: ({ cap_drop = [] }) => cap_drop.includes('ALL'), fault: 'keeps capabilities: set `cap_drop: [ALL]`' },
  { holds: ({ security_opt = [] }) => security_opt.includes('no-new-privileges:true'), fault: 'may gain privileges: set `no-new-privileges:true`' },
  { holds: ({ user = '' }) => user !== '' && !/^(?:0|root)(?::|$)/.test(user), fault: 'may run as root: set `user`' },
  { holds: ({ mem_limit }) => mem_limit !== undefined, fault: 'may take all memory: set `mem_limit`' },
  { holds: ({ ports = [] }) => ports.every((port) => port.startsWith('127.0.0.1:')), fault: 'publishes a port beyond loopback: begin it with 127.0.0.1' },
  { holds: ({ restart }) => restart !== undefined, fault: 'does not say what happens when it ends: set `restart`' },
  { holds: ({ restart, healthcheck }) => restart === 'no' || healthcheck !== undefined, fault: 'has no health check' },
  { holds: ({ volumes = [] }) => volumes.every((mount) => !mount.startsWith('.') || mount.endsWith(':ro')), fault: 'may write to the checkout: end the mount with `:ro`' },
  { holds: ({ volumes = [] }) => volumes.every((mount) => !mount.includes('docker.sock')), fault: 'holds the engine itself: do not mount its socket' },
  { holds: ({ environment = {} }) => Object.entries(environment).every(statesNoPassword), fault: 'states a password: ask for it with `${NAME:?what to do}`' },
]

export const hardeningFaults = (stack: Compose): Finding[] => [
  ...Object.entries(stack.services).flatMap(([name, service]) =>
    rules.filter(({ holds }) => !holds(service)).map(({ fault }) => `docker-compose.yml: ${name}: ${fault}`)),
  ...reachFaults(stack),
]

/** A secret has to be asked for: no value, and no default that everybody knows. */
function statesNoPassword([name, value]: [string, string | number]): boolean {
  const inUrl = /:\/\/[^:/@]+:([^@]*)@/.exec(String(value))?.[1]
  const secret = secretName.test(name) && !name.endsWith('_FILE') ? String(value) : inUrl
  return secret === undefined || /^\$\{[A-Z_]+:\?[^}]+\}$/.test(secret)
}

/** Who must not reach whom, whatever else changes. */
function reachFaults({ services, networks = {} }: Compose): Finding[] {
  const on = (name: string) => new Set(services[name]?.networks ?? [])
  const meet = (one: string, other: string) => [...on(one)].some((network) => on(other).has(network))
  const aegis = ['api', 'decision', 'execution', 'watcher', 'guard', 'migrate']
  const apart: [string, string][] = [...aegis.map((name): [string, string] => [name, 'temporal-postgres']), ['temporal', 'postgres'], ['temporal-ui', 'postgres']]
  const shut = ['postgres', 'temporal-postgres', 'temporal', 'migrate'].filter((name) => [...on(name)].some((network) => networks[network]?.internal !== true))
  return [
    ...apart.filter(([one, other]) => meet(one, other)).map(([one, other]) => `docker-compose.yml: ${one}: shares a network with \`${other}\``),
    ...shut.map((name) => `docker-compose.yml: ${name}: is on a network with a way out: make it internal`),
    ...holders(services),
  ]
}

/** One holder for each key: whoever signs warrants changes no cluster, and the other way round. */
function holders(services: Compose['services']): Finding[] {
  const only: Record<string, string[]> = { 'warrant-key': ['decision'], 'executor-kubeconfig': ['execution'], 'observer-kubeconfig': ['decision', 'watcher'], 'guard-kubeconfig': ['guard'] }
  return Object.entries(services).flatMap(([name, { secrets = [] }]) =>
    secrets.filter((secret) => only[secret]?.includes(name) === false).map((secret) => `docker-compose.yml: ${name}: holds \`${secret}\`, which is not its own`))
}
