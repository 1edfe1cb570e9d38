import { expect, test } from '@jest/globals'
import type { FaultClass } from '../remediation.ts'
import { readSample } from './fixtures/deployment.ts'
import { hasRecovered } from './recovered.ts'
import type { AttemptRead } from './situation.ts'

const pod = (ready: boolean): AttemptRead => ({ exists: true, kind: 'Pod', uid: 'p-1', resourceVersion: '9', stamps: [], terminating: false, ready })

test.each<[string, FaultClass, FaultClass[], AttemptRead, boolean]>([
  ['the workload still shows the fault', 'crash_loop', ['crash_loop'], pod(false), false],
  ['a pod that is ready for a moment, and was killed lately', 'oom_killed', ['oom_killed'], pod(true), false],
  ['the workload shows another fault', 'crash_loop', ['image_pull'], pod(false), true],
  ['the workload shows none', 'stuck_rollout', [], readSample, true],
  ['a release that is still stuck', 'stuck_rollout', ['stuck_rollout'], readSample, false],
  ['the pod hangs no more, though another of its workload does', 'stuck_pod', ['stuck_pod'], pod(true), true],
  ['the pod hangs', 'stuck_pod', ['stuck_pod'], pod(false), false],
])('%s', (_what, fault, faults, read, expected) => expect(hasRecovered(fault, { faults }, read)).toBe(expected))
