import { expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { composeFaults } from './compose.ts'
import { attributeFaults, defaultFaults, environmentFaults, passingFaults } from './compose-settings.ts'
import { parseCompose, type Compose } from './compose.ts'

const text = readFileSync('docker-compose.yml', 'utf8')
const everything = () => true

/** The real file with one thing changed: the planted fault is then the only one. */
function planted(from: string | RegExp, to: string): string {
  const changed = text.replace(from, to)
  if (changed === text) throw new Error(`docker-compose.yml no longer holds ${from}`)
  return changed
}

test('the stack as it is has no fault', () => expect(composeFaults(text, everything)).toEqual([]))

test.each<[string, string, RegExp]>([
  ['an unknown key', planted('stop_grace_period: 45s', 'stop_grace: 45s'), /must NOT have additional properties: `stop_grace`/],
  ['a wrong value', planted("restart: 'no'", 'restart: sometimes'), /restart must be equal to one of/],
  ['a broken file', planted('services:', 'services: ]'), /is not YAML/],
  ['an undefined network', planted('networks: [store, clusters]', 'networks: [store, cluster]'), /watcher: the network `cluster` is not defined/],
  ['an undefined secret', planted('secrets: [observer-kubeconfig]', 'secrets: [kubeconfig]'), /watcher: the secret `kubeconfig` is not defined/],
  ['a volume nobody uses', planted('  first-key: {}', '  first-key: {}\n  spare: {}'), /the volume `spare` is used by nobody/],
  ['a wait for health that nobody reports', planted(/ {4}healthcheck: \*postgres-health\n\n {2}temporal-schema/, '\n  temporal-schema'), /temporal-schema: waits for the health of `temporal-postgres`/],
  ['a wait for an end that never comes', planted(/(command: \[migrations.main.ts\]\n) {4}restart: 'no'/, '$1    restart: unless-stopped'), /waits for `migrate` to end/],
  ['an image without a version', planted('temporalio/ui:2.54.1', 'temporalio/ui:latest'), /temporal-ui: its image is not pinned/],
  ['a port for everyone', planted('- 127.0.0.1:${AEGIS_PORT', '- ${AEGIS_PORT'), /api: publishes a port beyond loopback/],
  ['a writable image', planted('read_only: true', 'read_only: false'), /may write to its image/],
  ['capabilities', planted('cap_drop: [ALL]', 'cap_drop: [NET_RAW]'), /keeps capabilities/],
  ['new privileges', planted("'no-new-privileges:true'", "'seccomp:unconfined'"), /may gain privileges/],
  ['root', planted("user: '999:999'", "user: '0:0'"), /postgres: may run as root/],
  ['no memory limit', planted('    mem_limit: 768m\n', ''), /execution: may take all memory/],
  ['a writable checkout', planted('./rules:/app/rules:ro', './rules:/app/rules'), /may write to the checkout/],
  ['the engine itself', planted('- first-key:/var/lib/aegis', '- first-key:/var/lib/aegis\n      - ./docker.sock:/docker.sock:ro'), /holds the engine/],
  ['a default password', planted('${POSTGRES_PASSWORD:?run', '${POSTGRES_PASSWORD:-run'), /postgres: states a password/],
  ['a password in a URL', planted(/aegis_api_login:\$\{[^}]+\}/, 'aegis_api_login:aegis'), /api: states a password/],
  ['a password written down', planted(/POSTGRES_PWD: .*/, 'POSTGRES_PWD: temporal'), /temporal: states a password/],
  ['a way to the database of Temporal', planted('networks: [store, temporal, clusters]', 'networks: [store, temporal, clusters, temporal-store]'), /shares a network with `temporal-postgres`/],
  ['a way out of the database', planted('store: { internal: true }\n  edge', 'store: { internal: false }\n  edge'), /postgres: is on a network with a way out/],
  ['a signing key beside cluster rights', planted('secrets: [executor-kubeconfig,', 'secrets: [warrant-key, executor-kubeconfig,'), /execution: holds `warrant-key`/],
])('%s shows', (_name, changed, finding) => {
  expect(composeFaults(changed, everything)).toEqual(expect.arrayContaining([expect.stringMatching(finding)]))
})

test('a mounted or started file that is not there shows', () => {
  const found = composeFaults(text, (path) => path !== './rules' && path !== 'api/main.ts')
  expect(found).toEqual(expect.arrayContaining([expect.stringContaining('api: `api/main.ts` is not'), expect.stringContaining('watcher: `./rules` is not')]))
})

test.each<[string, string, RegExp]>([
  ['a missing variable', planted(/ +AEGIS_WARRANT_KEY_FILE: .*\n/, ''), /decision: Aegis cannot start: AEGIS_WARRANT_KEY_FILE/],
  ['a value that is refused', planted('PORT: 3000', 'PORT: 300000'), /api: Aegis cannot start: PORT/],
  ['a variable nobody reads', planted('PORT: 3000', 'PORT: 3000\n      AEGIS_PROT: 3000'), /api: is given `AEGIS_PROT`/],
])('%s shows', (_name, changed, finding) => {
  expect(environmentFaults(parseCompose(changed) as Compose)).toEqual([expect.stringMatching(finding)])
})

const table = readFileSync('docs/configuration.md', 'utf8')
const stackOf = (file: string) => parseCompose(file) as Compose

test('every documented setting reaches who reads it, with the default it has anyway', () => {
  expect([...passingFaults(stackOf(text), table), ...defaultFaults(stackOf(text))]).toEqual([])
})

test.each<[string, string, string, string]>([
  ['a setting that is not passed on', planted(/ +AEGIS_LIMITS: .*\n/, ''), table, 'decision: is not given `AEGIS_LIMITS`'],
  ['a setting that one of its readers is not given', planted(/(AEGIS_WATCH_FRESH_MS: .*\n) +AEGIS_DEADLINE_MS: .*\n/, '$1'), table, 'watcher: is not given `AEGIS_DEADLINE_MS`'],
  ['a setting that is written down', planted('${AEGIS_SETTLE_MS:-10000}', '10000'), table, 'decision: `AEGIS_SETTLE_MS` cannot be set'],
  ['a setting nobody documented', text, table.replace('`AEGIS_IN_FLIGHT_LIMIT`', '`AEGIS_FLIGHTS`'), 'docs/configuration.md: `AEGIS_IN_FLIGHT_LIMIT` is missing'],
])('%s shows', (_name, file, page, finding) => {
  expect(passingFaults(stackOf(file), page)).toContainEqual(expect.stringContaining(finding))
})

test('a default that is another one under Compose shows', () => {
  expect(defaultFaults(stackOf(planted('${AEGIS_SETTLE_MS:-10000}', '${AEGIS_SETTLE_MS:-1000}')))).toEqual([expect.stringContaining('decision: the default of `AEGIS_SETTLE_MS`')])
})

test('search attributes that Temporal would not know show', () => {
  const found = attributeFaults('AegisCluster Text\n', { cluster: { name: 'AegisCluster', type: 'KEYWORD' }, tags: { name: 'AegisTags', type: 'KEYWORD_LIST' } })
  expect(found).toEqual([
    expect.stringContaining('`AegisCluster Keyword` is missing'),
    expect.stringContaining('`AegisTags KeywordList` is missing'),
    expect.stringContaining('`AegisCluster Text` is not in workflows/names.ts'),
  ])
})
