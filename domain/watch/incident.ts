import type { Fault } from '../faults.ts'
import type { FaultClass, IncidentKey } from '../remediation.ts'
import type { WorkloadFacts } from './facts.ts'

/** One fault on one workload that lasted. However many pods fail and however many watchers look, it has one key. */
export type Incident = {
  key: IncidentKey
  cluster: string
  namespace: string
  workload: { kind: WorkloadFacts['kind']; name: string; uid: string }
  fault: FaultClass
  pod: Fault['pod']
  afterRollout: boolean
  startedAtMs: number
  pods: string[]
  evidence: string
}

/** The same from every watcher: made of what the objects say, never of when somebody looked. */
export const fingerprintOf = ({ cluster, uid }: WorkloadFacts, { fault, episode }: Fault): string => `watcher/${cluster}/${uid}/${fault}/${episode}`

export function incidentOf(workload: WorkloadFacts, fault: Fault, isoTime: (ms: number) => string): Incident {
  const { cluster, namespace, kind, name, uid } = workload
  return {
    key: { fingerprint: fingerprintOf(workload, fault), startsAt: isoTime(fault.startedAtMs) },
    cluster,
    namespace,
    workload: { kind, name, uid },
    fault: fault.fault,
    pod: fault.pod,
    afterRollout: fault.afterRollout,
    startedAtMs: fault.startedAtMs,
    pods: fault.pods,
    evidence: fault.evidence,
  }
}
