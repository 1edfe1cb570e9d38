import type { ExecutionDeps } from './deps.ts'
import { executeAction, rollback } from './execute-action.ts'
import { fence } from './fence.ts'
import { preflight } from './preflight.ts'
import { recordIntent } from './record-intent.ts'
import type { ExecutionSteps } from './results.ts'
import { validateSignature } from './validate-signature.ts'
import { verify } from './verify.ts'

/** The steps of the execution worker: the only holder of cluster write rights, and of no signing key. */
export const executionSteps = (deps: ExecutionDeps): ExecutionSteps => ({
  preflight: preflight(deps),
  validateSignature: validateSignature(deps),
  recordIntent: recordIntent(deps),
  executeAction: executeAction(deps),
  verify: verify(deps),
  rollback: rollback(deps),
  fence: fence(deps),
})
