/**
 * `npm start`: the stack, the API and the workers, up until Ctrl-C. As a fresh install it only looks
 * (`AEGIS_MODE=observe`); set AEGIS_MODE and AEGIS_NAMESPACES to let it act, and AEGIS_POLICY_DIRECTORY
 * for policies of your own.
 */
import { join, resolve } from 'node:path'
import { startAegis } from './aegis.ts'
import { defaultDirectory, stackFile, startStack, updateStackFile } from './stack.ts'

const progress = (line: string) => console.log(line)
const policies = process.env['AEGIS_POLICY_DIRECTORY']

try {
  const stack = await startStack({ directory: defaultDirectory, clusters: ['local'], progress })
  const aegis = await startAegis({
    stack,
    directory: join(stack.directory, 'aegis'),
    stackDirectory: stack.directory,
    database: stack.postgres,
    ...(policies === undefined ? {} : { env: { AEGIS_POLICY_DIRECTORY: resolve(policies) } }),
    progress,
  })
  updateStackFile(stack.directory, { api: aegis.url, apiKey: aegis.apiKey })
  console.log(`
  API          ${aegis.url}/openapi.json
  Temporal UI  ${stack.temporal.uiUrl}
  kubeconfig   ${stack.clusters[0]?.kubeconfig}
  addresses and the first API key are in ${stackFile(stack.directory)}

  to let it act in a namespace:
    kubectl label namespace <name> aegis.dev/managed=true
    kubectl apply -n <name> -f deploy/managed-namespace

  npx aegis status   in another terminal; Ctrl-C here ends everything`)
  setInterval(() => undefined, 60_000) // nothing else keeps this process alive
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure)
  process.exitCode = 1
}
