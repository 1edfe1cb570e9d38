/**
 * The walls between the rooms (docs/architecture.md has the table in words). A room's line says what
 * it may reach; everything else is refused. "Types of" means `import type` or `typeof import()`, which leave no trace at
 * run time. Tests beside code, and what they share in a folder `testing`, may import what they need. tests/house/fixtures/walls breaks every rule
 * once, so that a rule that stops biting is noticed.
 */
const beside = '\\.test\\.ts$|/testing/'
const typesOnly = ['type-only', 'type-import']

/** `room` may reach `reach`; whatever is named `but` has a rule of its own. */
const room = (name, comment, from, allowed) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from, pathNot: beside },
  to: { pathNot: allowed },
})

/** `from` may know `to` by its types alone. */
const asTypes = (name, comment, from, to, except = []) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from, pathNot: beside },
  to: { path: to, pathNot: except, dependencyTypesNot: typesOnly },
})

/** `from` may not reach these rooms; packages and Node are its own affair. */
const notRooms = (name, comment, from, rooms) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from, pathNot: beside },
  to: { path: `^(${rooms.join('|')})/` },
})

const temporalPackage = (...names) => `node_modules/@temporalio/(${names.join('|')})/`

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    room('domain-imports-nothing', 'domain is plain types and pure functions: no package, no Node, no other room', '^domain/', ['^domain/']),

    room('workflows-reach', 'workflows are replayed: domain, themselves, @temporalio/workflow and common, no more', '^workflows/',
      ['^(domain|workflows|activities)/', temporalPackage('workflow', 'common')]),
    asTypes('workflows-know-activities-as-types', 'activities run elsewhere: `import type` them', '^workflows/', '^activities/'),

    room('activities-reach', 'activities get their adapters handed in: domain and @temporalio/activity and common, no more', '^activities/',
      ['^(domain|activities|adapters)/', temporalPackage('activity', 'common')]),
    asTypes('activities-know-adapters-as-types', 'workers introduce adapters to activities: `import type` them', '^activities/', '^adapters/'),

    notRooms('adapters-reach', 'adapters know the outside world and domain, no other room', '^adapters/',
      ['workflows', 'activities', 'temporal', 'api', 'migrations', 'deploy']),

    notRooms('temporal-reach', 'temporal is the doorway for starters: domain and the words of the workflows', '^temporal/',
      ['activities', 'adapters', 'api', 'migrations', 'deploy']),
    asTypes('temporal-knows-workflows-by-messages', 'starters need messages, names and types, never workflow code', '^temporal/', '^workflows/',
      ['^workflows/(messages|names)\\.ts$']),

    notRooms('api-reach', 'the API starts and records: domain, adapters, temporal', '^api/', ['workflows', 'activities', 'migrations', 'deploy']),
    notRooms('workers-reach', 'workers introduce others to each other; workflows they name by path', '^workers/',
      ['workflows', 'api', 'migrations', 'deploy']),

    {
      ...room('migrations-reach', 'a released migration must never change: it may not lean on code that does', '^migrations/',
        ['^migrations/', 'node_modules/knex/']),
      from: { path: '^migrations/', pathNot: [beside, '^migrations/main\\.ts$'] },
    },
    asTypes('migrations-know-knex-as-types', 'a migration gets its connection handed in', '^migrations/', 'node_modules/knex/'),

    room('cli-reach', 'the CLI has no rights of its own: Node, and types of the API', '^cli/', ['^(cli|api)/', '^(node:)?[a-z_/]+$', 'node_modules/tsx/']),
    asTypes('cli-knows-api-as-types', 'the CLI talks to the API over HTTP', '^cli/', '^api/'),

    notRooms('web-reach', 'the console has no rights of its own: types of the API', '^web/',
      ['domain', 'workflows', 'activities', 'adapters', 'temporal', 'migrations', 'deploy']),
    asTypes('web-knows-api-as-types', 'the console talks to the API over HTTP', '^web/', '^api/'),

    {
      name: 'nobody-imports-entry-points',
      comment: 'workers, cli, web, tests, sandbox and benchmarks are ways in or proofs: nothing leans on them',
      severity: 'error',
      from: { path: '^([^/]+)/', pathNot: ['^(tests|sandbox|benchmarks)/', beside] },
      to: { path: '^(workers|cli|web|tests|sandbox|benchmarks)/', pathNot: '^$1/' },
    },
    {
      name: 'only-tests-import-testing',
      comment: 'a folder `testing` holds what tests share: product code has no use for it',
      severity: 'error',
      from: { pathNot: ['^(tests|sandbox|benchmarks)/', beside] },
      to: { path: '/testing/', pathNot: 'node_modules' },
    },
    {
      name: 'only-declared-packages',
      comment: 'product code runs from `npm ci --omit=dev`: what it imports is a dependency, not a devDependency',
      severity: 'error',
      from: { path: '^(domain|workflows|activities|adapters|temporal|api|workers|migrations|cli)/', pathNot: beside },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: typesOnly },
    },
    {
      name: 'no-circles',
      comment: 'files that need each other at run time are one file, or the third one they share is missing',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: typesOnly } },
    },
    { name: 'resolves', comment: 'the import leads nowhere', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['^tests/house/fixtures/', '^web/dist/', '^node_modules/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.tsx', '.mts', '.mjs', '.js', '.json'], conditionNames: ['import', 'require', 'node', 'default', 'types'], exportsFields: ['exports'] },
  },
}
