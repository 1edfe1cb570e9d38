// Set-up, run by every npm script before the real work: `node sandbox/setup/ensure.mjs packages|stack`.
// `packages`: Node is new enough and node_modules match package-lock.json. `stack`: also Temporal, PostgreSQL and the
// Kubernetes programs are there. Does nothing, quickly, when all is in place. Standard library only: it runs first.
import { ensureKubernetes } from './kubernetes.mjs'
import { checkNode, ensurePackages } from './packages.mjs'
import { ensurePostgres } from './postgres.mjs'
import { missingPrograms } from './programs.mjs'
import { Missing, say } from './progress.mjs'
import { endAll } from './run.mjs'
import { ensureTemporal } from './temporal.mjs'

const parts = {
  packages: [ensurePackages],
  // Side by side: the network is busy with packages while the processors are busy with Go.
  stack: [() => ensurePackages().then(ensurePostgres), ensureTemporal, ensureKubernetes],
}

process.once('exit', endAll)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))

const wanted = parts[process.argv[2]]
if (!wanted) {
  console.error('usage: node sandbox/setup/ensure.mjs packages|stack')
  process.exit(2)
}

try {
  checkNode()
  const complete = missingPrograms().length === 0
  await Promise.all(wanted.map((ensure) => ensure()))
  if (process.argv[2] === 'stack' && !complete) say('set-up is complete')
} catch (failure) {
  console.error(failure instanceof Missing ? failure.message : `Set-up failed: ${failure.message}`)
  process.exit(1)
}
