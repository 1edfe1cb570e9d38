// Ends what jest-stack.mjs started. AEGIS_TEST_KEEP=1 keeps its logs and audit logs for a look afterwards.
import { rmSync } from 'node:fs'

export default async function stopSharedStack() {
  const stack = globalThis.aegisTestStack
  if (!stack) return
  await stack.stop()
  if (process.env.AEGIS_TEST_KEEP) console.error(`sandbox: logs kept in ${stack.directory}`)
  else rmSync(stack.directory, { recursive: true, force: true })
}
