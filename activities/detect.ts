import { Failure } from '../domain/failure.ts'
import { ended } from './ended.ts'
import type { DecisionDeps, Store } from './deps.ts'
import type { DecisionSteps } from './results.ts'

/** Binds the run to its request and looks whether there is still something to do. */
export const detect =
  ({ db, store, clusters, settings }: DecisionDeps): DecisionSteps['detect'] =>
  async ({ id, firstRunId }) => {
    const [bound, request] = await Promise.all([store.bindRun(db, id, firstRunId), store.loadRequest(db, id)])
    if (bound !== 'bound' || !request) return { go: false, ending: null, summary: notOurs[bound === 'bound' ? 'missing' : bound] }

    const { target, fault } = request
    const observation = await clusters(target.cluster).observe(target)
    const name = `${target.kind} \`${target.namespace}/${target.name}\``
    if (!observation) return { go: false, ...ended('blocked', 'target_missing', `there is no ${name} in cluster \`${target.cluster}\``) }
    if (fault && !observation.health.faults.includes(fault)) {
      return { go: false, ...ended('no_action_needed', 'fault_gone', `${name} no longer shows \`${fault}\``) }
    }
    const { desired, ready } = observation.health
    return { go: true, deadlineMs: Date.parse(request.deadlineAt), timing: settings.timing, summary: `${name}: ${ready} of ${desired} ready` }
  }

const notOurs = {
  other_run: 'another run is bound to this request; this one ends without doing anything',
  closed: 'the remediation is closed; nothing is left to do',
  missing: 'there is no request with this id; a workflow without one does nothing',
}

/** The committed row. What a task says of itself proves nothing. */
export async function loadRequest({ db, store }: Pick<DecisionDeps, 'db' | 'store'>, id: string): Promise<NonNullable<Awaited<ReturnType<Store['loadRequest']>>>> {
  const request = await store.loadRequest(db, id)
  if (!request) throw new Failure('missing', 'request_missing', `there is no accepted request \`${id}\``)
  return request
}
