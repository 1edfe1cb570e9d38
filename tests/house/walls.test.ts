import { expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectPaths } from './files.ts'
import { breaches } from './walls.ts'

const root = process.cwd()
const planted = join(root, 'tests/house/fixtures/walls')

/** Each planted file, and the one rule it breaks. */
const breaks: Record<string, string> = {
  'domain/hashes-by-itself.ts': 'domain-imports-nothing',
  'domain/parses-yaml.ts': 'domain-imports-nothing',
  'domain/reads-the-database.ts': 'domain-imports-nothing',
  'workflows/opens-a-socket.ts': 'workflows-reach',
  'workflows/runs-an-activity.ts': 'workflows-know-activities-as-types',
  'workflows/runs-an-activity-beside-its-type.ts': 'workflows-know-activities-as-types',
  'activities/opens-the-database-beside-its-type.ts': 'activities-know-adapters-as-types',
  'activities/queries-by-itself.ts': 'activities-reach',
  'activities/opens-the-database.ts': 'activities-know-adapters-as-types',
  'adapters/asks-the-api.ts': 'adapters-reach',
  'adapters/starts-a-worker.ts': 'nobody-imports-entry-points',
  'adapters/leans-on-the-sandbox.ts': 'nobody-imports-entry-points',
  'adapters/leans-on-an-oracle.ts': 'only-tests-import-testing',
  'adapters/needs-a-test-package.ts': 'only-declared-packages',
  'adapters/leads-nowhere.ts': 'resolves',
  'adapters/circle-one.ts': 'no-circles',
  'temporal/embeds-a-story.ts': 'temporal-knows-workflows-by-messages',
  'temporal/runs-a-step.ts': 'temporal-reach',
  'api/bundles-a-story.ts': 'api-reach',
  'workers/answers-http.ts': 'workers-reach',
  'migrations/leans-on-code.ts': 'migrations-reach',
  'migrations/opens-by-itself.ts': 'migrations-know-knex-as-types',
  'cli/opens-the-database.ts': 'cli-reach',
  'cli/runs-the-api.ts': 'cli-knows-api-as-types',
  'web/reads-the-rules.ts': 'web-reach',
  'web/runs-the-api.ts': 'web-knows-api-as-types',
}

test('every wall stops the import planted against it, and lets the permitted ones through', async () => {
  const paths = projectPaths(planted)
  const found = await breaches(root, planted, paths)
  const rules = Object.fromEntries(found.map((finding) => {
    const [, path = '', rule = ''] = /^([^:]+): .*\(([\w-]+) in/.exec(finding) ?? []
    return [path, rule]
  }))
  expect(rules).toEqual(breaks)
  expect(paths.filter((path) => path.includes('permitted'))).toHaveLength(12)
}, 30_000)

test('every wall has something planted against it', () => {
  const config = readFileSync(join(root, '.dependency-cruiser.mjs'), 'utf8')
  const named = [...config.matchAll(/(?:room|asTypes|notRooms)\('([\w-]+)'|name: '([\w-]+)'/g)].map(([, a, b]) => a ?? b ?? '')
  expect([...new Set(Object.values(breaks))].sort()).toEqual(named.sort())
})

test('a file the cruiser did not look at is a finding, not a pass', async () => {
  const found = await breaches(root, planted, ['domain/permitted.ts', 'domain/unread.ts'])
  expect(found).toContain('domain/unread.ts: was not looked at, so its imports are unchecked')
}, 30_000)
