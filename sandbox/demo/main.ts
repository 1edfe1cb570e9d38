/** `npm run demo`: eight incidents on real servers. Ends with 0 only if every line came true. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startAegis, type Aegis } from '../aegis.ts'
import { startApiProxy } from '../faults/http-proxy.ts'
import { openGuards } from '../open-guards.ts'
import { checkout } from '../setup/programs.mjs'
import { defaultDirectory, startStack, updateStackFile, type Stack } from '../stack.ts'
import { aegisApi, type AegisApi } from './aegis-api.ts'
import { incidents, namespaceOf, type Incident, type Stage } from './incidents.ts'
import { play } from './play.ts'
import { writeReport, type Played } from './report.ts'
import { heading, say, table, tellOf } from './screen.ts'
import { whatIf } from './what-if.ts'
import { openShop, until } from './workloads.ts'

const keep = process.argv.includes('--keep')
const begun = Date.now()
const directory = defaultDirectory
const cluster = 'main'
const policyDirectory = join(directory, 'demo/policies')
const policyFile = join(policyDirectory, 'demo.yaml')

/** Short times, so that a demo does not wait for what production should wait for; the rules file has the dwell times. */
const settings = {
  ...openGuards,
  AEGIS_MODE: 'auto',
  AEGIS_NAMESPACES: 'demo-*',
  AEGIS_WATCH_NAMESPACES: `${namespaceOf('a')},${namespaceOf('b')}`,
  AEGIS_SETTLE_MS: '3000',
  AEGIS_VERIFY_TIMEOUT_MS: '40000',
  AEGIS_DEADLINE_MS: '90000',
  AEGIS_POLICY_DIRECTORY: policyDirectory,
  AEGIS_RULES_FILE: join(checkout, 'sandbox/demo/rules.yaml'),
}

async function main(): Promise<boolean> {
  heading('Aegis: eight incidents on a real Kubernetes control plane')
  const stack = await startStack({ directory, clusters: [cluster], progress: say })
  rmSync(join(directory, 'demo'), { recursive: true, force: true })
  cpSync(join(checkout, 'policies/demo'), policyDirectory, { recursive: true })

  const [main] = stack.clusters
  if (!main) throw new Error('the stack has no cluster')
  const proxy = await startApiProxy({ kubeconfig: main.executorKubeconfig, directory: join(directory, 'demo') })
  const shop = openShop(main.kubeconfig)
  const starting = startAegis({
    stack, directory: join(directory, 'demo'), stackDirectory: directory, database: stack.postgres, env: settings,
    through: { kubeconfigs: { [cluster]: proxy.kubeconfig } }, progress: say,
  })
  const preparing = prepareAll({ shop } as Stage)
  const aegis = await starting
  updateStackFile(directory, { api: aegis.url, apiKey: aegis.apiKey })
  await preparing
  const setUpSeconds = secondsSince(begun)
  say(`workloads are up; set-up took ${setUpSeconds} s`)

  const stage = await stageOf(aegis, shop, (namespace) => killAfterCall(proxy, aegis, namespace))
  const played = await playAll(stage, main.auditLog)
  table(played)
  heading('What if the line had not been changed?')
  const unexpected = await whatIf(aegis, cluster, say)
  for (const problem of unexpected) say(`NOT AS IT SHOULD BE: ${problem}`)
  const seconds = secondsSince(begun)
  writeReport(join(directory, 'demo/report.json'), played, { setUpSeconds, seconds, auditLog: main.auditLog })
  links(stack, aegis, seconds)
  if (keep) return stay()
  await aegis.stop()
  await proxy.close()
  await stack.stop()
  return unexpected.length === 0 && played.every(({ problems }) => problems.length === 0)
}

/** Workloads need no Aegis, so they start beside it. */
const prepareAll = (stage: Stage) => Promise.all(incidents.map((incident) => incident.prepare(stage)))

async function stageOf(aegis: Aegis, shop: Stage['shop'], killWorkerAfterCall: Stage['killWorkerAfterCall']): Promise<Stage> {
  const admin = aegisApi(aegis.url, aegis.apiKey)
  const { key } = await admin.call<{ key: string }>('POST', '/api/v1/keys', { name: 'robin-laptop', owner: 'robin', roles: ['approver'] })
  return { shop, admin, approver: aegisApi(aegis.url, key), cluster, tightenPolicy: () => tightenPolicy(admin, new URL('/metrics', aegis.decision.healthUrl)), killWorkerAfterCall }
}

async function tightenPolicy(admin: AegisApi, decisionMetricsUrl: URL): Promise<void> {
  const before = readFileSync(policyFile, 'utf8')
  const after = before.replace('value: 6 # the one line', 'value: 2 # the one line')
  if (after === before) throw new Error(`${policyFile} has no line \`value: 6 # the one line\``)
  writeFileSync(policyFile, after)
  // Each process reads the files by itself; what counts is the one that decides.
  const asked = async () => (await admin.call<{ snapshot: string }>('GET', '/api/v1/policy')).snapshot
  const decidedBy = async () => /aegis_policy_snapshot_info\{[^}]*snapshot="([^"]+)"/.exec(await (await fetch(decisionMetricsUrl)).text())?.[1]
  const old = await asked()
  await until('the changed policy is in force', async () => (await asked()) !== old && (await decidedBy()) === (await asked()))
}

/** Everything at once; the last two alone, because they change the policy for all and kill the worker of all. */
async function playAll(stage: Stage, auditLog: string): Promise<Played[]> {
  heading('Incidents')
  const alone = (incident: Incident) => incident.id === 'd' || incident.id === 'g'
  const one = (incident: Incident) => play(stage, incident, auditLog, tellOf(incident.id))
  const played = await Promise.all(incidents.filter((incident) => !alone(incident)).map(one))
  for (const incident of incidents.filter(alone)) played.push(await one(incident))
  return played.sort((a, b) => a.incident.id.localeCompare(b.incident.id))
}

async function killAfterCall(proxy: Awaited<ReturnType<typeof startApiProxy>>, aegis: Aegis, namespace: string): Promise<void> {
  const worker = aegis.executions[cluster]
  if (!worker) throw new Error(`no execution worker for ${cluster}`)
  await proxy.once({ method: 'PATCH', path: new RegExp(`/namespaces/${namespace}/deployments/`), effective: true, phase: 'after_send' }, () => {
    worker.kill('SIGKILL')
    return 'cut'
  })
  await worker.start()
}

function links(stack: Stack, aegis: Aegis, seconds: number): void {
  heading(`Done in ${seconds} s`)
  console.log(`  Temporal UI  ${stack.temporal.uiUrl}`)
  console.log(`  API          ${aegis.url} (key in ${join(directory, 'stack.json')})`)
  console.log(`  report       ${join(directory, 'demo/report.json')}`)
  if (!keep) console.log('  `npm run demo -- --keep` leaves everything running to look at')
}

/** Until Ctrl-C, which ends the servers too. */
async function stay(): Promise<boolean> {
  console.log('\n  everything stays up until Ctrl-C')
  await new Promise(() => setInterval(() => undefined, 60_000))
  return true
}

const secondsSince = (ms: number) => Math.round((Date.now() - ms) / 100) / 10

try {
  process.exit((await main()) ? 0 : 1)
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure)
  process.exit(1) // whatever still runs ends with us
}
