import type { ExecutionDeps } from './deps.ts'
import { permission, refusalMessage } from './permission.ts'
import type { ExecutionSteps } from './results.ts'

/** The execution side's own look at the warrant, before anything is written down. */
export const validateSignature =
  (deps: ExecutionDeps): ExecutionSteps['validateSignature'] =>
  async (input) => {
    const given = await permission(deps, input)
    if ('refused' in given) return { valid: false, reason: given.refused, summary: refusalMessage[given.refused] }
    return { valid: true, summary: `the warrant holds for the ${input.phase}` }
  }
