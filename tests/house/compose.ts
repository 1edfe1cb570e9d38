import { Ajv2020 } from 'ajv/dist/2020.js'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { composeSchema } from './compose-schema.ts'
import { hardeningFaults } from './compose-hardening.ts'
import type { Check, Finding } from './finding.ts'

export type Service = {
  image: string
  build?: { context: string; dockerfile: string }
  user?: string
  restart?: string
  command?: string[]
  environment?: Record<string, string | number>
  ports?: string[]
  volumes?: string[]
  secrets?: string[]
  networks?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: object
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  mem_limit?: string
}

export type Compose = {
  services: Record<string, Service>
  networks?: Record<string, { internal?: boolean }>
  volumes?: Record<string, object>
  secrets?: Record<string, { file: string }>
}

/** `docker-compose.yml`: keys and values, names that lead somewhere, and what hardening promises. */
export const compose: Check = {
  name: 'compose',
  async run(root) {
    const file = join(root, 'docker-compose.yml')
    if (!existsSync(file)) return ['docker-compose.yml: is missing']
    return composeFaults(readFileSync(file, 'utf8'), (path) => existsSync(join(root, path)))
  },
}

export function composeFaults(text: string, exists: (path: string) => boolean): Finding[] {
  const document = parseCompose(text)
  if (typeof document === 'string') return [document]
  const shape = shapeFaults(document)
  if (shape.length > 0) return shape
  const stack = document as Compose
  return [...nameFaults(stack), ...orderFaults(stack), ...pathFaults(stack, exists), ...hardeningFaults(stack)]
}

export function parseCompose(text: string): unknown {
  try {
    return parse(text, { merge: true, uniqueKeys: true })
  } catch (failure) {
    return `docker-compose.yml: is not YAML: ${(failure as Error).message.split('\n')[0]}`
  }
}

function shapeFaults(document: unknown): Finding[] {
  const validate = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, strictTuples: false }).compile(composeSchema)
  if (validate(document)) return []
  return (validate.errors ?? []).map(({ instancePath, message, params }) => {
    const extra = (params as { additionalProperty?: string }).additionalProperty
    return `docker-compose.yml: ${instancePath || '/'} ${message}${extra === undefined ? '' : `: \`${extra}\``}`
  })
}

const at = (service: string, fault: string): Finding => `docker-compose.yml: ${service}: ${fault}`

/** Networks, volumes, secrets and services are defined where they are used, and used where they are defined. */
function nameFaults({ services, networks = {}, volumes = {}, secrets = {} }: Compose): Finding[] {
  const entries = Object.entries(services)
  const named = (kind: string, defined: object, used: (service: Service) => string[]) => [
    ...entries.flatMap(([name, service]) =>
      used(service).filter((use) => !Object.hasOwn(defined, use)).map((use) => at(name, `the ${kind} \`${use}\` is not defined`))),
    ...Object.keys(defined)
      .filter((given) => kind !== 'service' && !entries.some(([, service]) => used(service).includes(given)))
      .map((given) => `docker-compose.yml: the ${kind} \`${given}\` is used by nobody`),
  ]
  return [
    ...named('network', networks, (service) => service.networks ?? []),
    ...named('volume', volumes, (service) => (service.volumes ?? []).map(source).filter((path) => !path.startsWith('.'))),
    ...named('secret', secrets, (service) => service.secrets ?? []),
    ...named('service', services, (service) => Object.keys(service.depends_on ?? {})),
    ...entries.filter(([, service]) => service.networks === undefined).map(([name]) => at(name, 'names no network, so it would share one with everybody')),
  ]
}

const source = (mount: string): string => mount.split(':', 1)[0] ?? ''

/** Waiting for health needs a health check; waiting for an end needs something that ends. */
const orderFaults = ({ services }: Compose): Finding[] =>
  Object.entries(services).flatMap(([name, { depends_on = {} }]) =>
    Object.entries(depends_on).flatMap(([other, { condition }]) => {
      const awaited = services[other]
      if (condition === 'service_healthy' && awaited?.healthcheck === undefined) return [at(name, `waits for the health of \`${other}\`, which has no health check`)]
      if (condition === 'service_completed_successfully' && awaited?.restart !== 'no') return [at(name, `waits for \`${other}\` to end, which starts again: give it \`restart: 'no'\``)]
      return []
    }),
  )

/** What is mounted, built and run is in the checkout. */
const pathFaults = ({ services }: Compose, exists: (path: string) => boolean): Finding[] =>
  Object.entries(services).flatMap(([name, { volumes = [], build, command = [] }]) =>
    [
      ...volumes.map(source).filter((path) => path.startsWith('./')),
      ...(build === undefined ? [] : [build.dockerfile, ...command.filter((word) => word.endsWith('.ts'))]),
    ].filter((path) => !exists(path)).map((path) => at(name, `\`${path}\` is not in the checkout`)),
  )
