// Starts the stack that live tests share. jest calls this only when a live test was selected; it runs outside jest's
// module system, hence tsx. The tests find the stack by AEGIS_TEST_STACK (tests/helpers/stack.ts).
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tsImport } from 'tsx/esm/api'
import { checkout } from './programs.mjs'

export default async function startSharedStack() {
  const { removeAbandoned, startStack } = await tsImport('../stack.ts', import.meta.url)
  const shared = join(checkout, '.aegis/tests')
  mkdirSync(shared, { recursive: true })
  await removeAbandoned(shared)

  const directory = join(shared, String(process.pid)) // two runs of the tests in one checkout do not meet
  const progress = (line) => console.error(`sandbox: ${line}`)
  const stack = await startStack({ directory, clusters: ['main', 'edge'], progress })
  const file = join(directory, 'test-stack.json')
  writeFileSync(file, JSON.stringify(stack), { mode: 0o600 })
  process.env.AEGIS_TEST_STACK = file
  globalThis.aegisTestStack = stack
}
