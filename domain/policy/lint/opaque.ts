import type { CompiledPolicy } from '../snapshot.ts'
import type { Finding } from './finding.ts'
import { placedLeaves } from './places.ts'

/** L14: an expression may be any of true, false and unknown, as far as the others of this list can see. */
export const opaqueLeaves = (policies: readonly CompiledPolicy[]): Finding[] =>
  policies.flatMap(({ document }) =>
    placedLeaves(document)
      .filter(({ leaf }) => 'cel' in leaf)
      .map(({ path }): Finding => ({
        code: 'L14', severity: 'notice', policy: document.id, others: [], path, witness: null,
        message: 'lint cannot see into CEL: what it reads, and when it holds, is not checked; say in conditions what they can say',
      })))
