/** What live tests need of the shared sandbox stack, and how they read the judge: the API server's audit log. */
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { manageNamespace } from '../../sandbox/servers/backstop.ts'
import { inDatabase, loginsOf, query } from '../../sandbox/servers/postgres.ts'
import type { PostgresServer, SandboxCluster, Stack } from '../../sandbox/stack.ts'

export { auditEvents, mutationsBy, type AuditEvent } from '../../sandbox/audit.ts'

export type TestStack = Omit<Stack, 'stop'>
export type TestCluster = SandboxCluster

/** The stack all live tests of this run share: clusters `main` and `edge`. Use fresh databases and namespaces in it. */
export const stack: TestStack = readStack()

function readStack(): TestStack {
  const file = process.env['AEGIS_TEST_STACK']
  if (!file) throw new Error('the shared stack is not running: start live tests with `npm test`, and keep them in tests/')
  const shared = JSON.parse(readFileSync(file, 'utf8')) as TestStack
  return { ...shared, postgres: { ...shared.postgres, ...loginsOf(shared.postgres.ownerUrl) } }
}

export const clusterNamed = (name: string): SandboxCluster => {
  const found = stack.clusters.find((cluster) => cluster.name === name)
  if (!found) throw new Error(`the shared stack has no cluster ${name}`)
  return found
}

/** Waits until `probe` answers something other than undefined or false; fails with the last error after `limitMs`. */
export async function eventually<T>(what: string, probe: () => Promise<T> | T, limitMs = 20_000): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + limitMs
  let cause: unknown
  while (Date.now() < deadline) {
    try {
      const answer = await probe()
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>
    } catch (error) {
      cause = error
    }
    await sleep(100)
  }
  throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`, { cause })
}

export type FreshDatabase = Omit<PostgresServer, 'pid'> & { name: string; drop(): Promise<void> }

/** An empty database of this test's own, or a copy of `template` (to which nobody may be connected then). */
export async function freshDatabase({ postgres }: Pick<Stack, 'postgres'> = stack, template = 'template1'): Promise<FreshDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const maintenanceUrl = inDatabase(postgres.ownerUrl, 'postgres')
  await query(maintenanceUrl, `create database ${name} template ${template}`)
  const drop = () => query(maintenanceUrl, `drop database if exists ${name} with (force)`)
  return { name, ...loginsOf(inDatabase(postgres.ownerUrl, name)), drop }
}

/** A kubeconfig of the sandbox as client-node wants it. */
export function kubeConfig(path: string): KubeConfig {
  const config = new KubeConfig()
  config.loadFromFile(path)
  return config
}

/** A namespace of this test's own, ready to take pods, in which Aegis may act. It goes with the stack; no test needs to delete it. */
export async function freshNamespace(cluster: SandboxCluster, prefix: string): Promise<string> {
  const name = `${prefix}-${randomBytes(4).toString('hex')}`
  const core = kubeConfig(cluster.kubeconfig).makeApiClient(CoreV1Api)
  await core.createNamespace({ body: { metadata: { name } } })
  await manageNamespace(cluster.kubeconfig, name)
  // Pods are refused until the controllers have made the namespace's default account.
  await eventually(`${name} has its default account`, async () => {
    await core.readNamespacedServiceAccount({ name: 'default', namespace: name })
    return true
  })
  return name
}
