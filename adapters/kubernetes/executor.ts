import type { Plan } from '../../domain/plan.ts'
import { readTarget } from './attempt.ts'
import type { ClusterExecutor, FenceResult } from './cluster.ts'
import type { Answer, Connection } from './connection.ts'
import { causeFields, failureOf } from './errors.ts'
import { fenceCall } from './mutations.ts'
import { preflightOn } from './preflight.ts'
import { clusterReader } from './reader.ts'
import { callFor, sendResult } from './sending.ts'

/** The execution side's hands. Nothing else in Aegis writes to a cluster. */
export const clusterExecutor = (connection: Connection): ClusterExecutor => ({
  ...clusterReader(connection),
  preflight: preflightOn(connection),
  read: (plan) => readTarget(connection, plan),

  async send(plan, phase, remediationId, read) {
    const answer = await connection.request(callFor(plan, phase, remediationId, read))
    return sendResult(connection, plan, answer)
  },

  async fence(plan, remediationId, mark, read) {
    if (!read.exists || read.uid !== plan.target.uid || (read.kind === 'Pod' && read.terminating)) return 'gone'
    const answer = await connection.request(fenceCall(plan, remediationId, mark, read))
    return fenceResult(connection, plan, answer)
  },
})

function fenceResult(connection: Connection, plan: Plan, answer: Answer): FenceResult {
  const { status } = answer
  if (status >= 200 && status < 300) return 'fenced'
  if (status === 409) return 'conflict'
  if (status === 404 || (status === 422 && causeFields(answer).includes('metadata.uid'))) return 'gone'
  throw failureOf(connection.cluster, `write the fence on ${plan.target.kind.toLowerCase()} \`${plan.target.name}\``, answer)
}
