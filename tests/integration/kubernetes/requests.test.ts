/** How much is asked of the API server. Requests stand between a fault and its cure, and cost both sides. */
import { expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { clusterExecutor, clusterReader, type Connection } from '../../../adapters/kubernetes/client.ts'
import type { Answer, Call } from '../../../adapters/kubernetes/connection.ts'
import { at, breakIt, call, cluster, connect, deploy, executor, options, podsOf, remove, restarting, rollingBack, scaling, target } from './operator.ts'

const executing = connect(cluster.executorKubeconfig, 'aegis-executor/test')
const looking = connect(cluster.observerKubeconfig, 'aegis-decision/test')

/** Answers given out together, once all that was asked at the same time is answered: what is asked after that is a round of its own. */
function inRounds(connection: Connection) {
  const rounds: string[][] = []
  let open: Promise<Answer>[] | undefined
  let answered: Promise<unknown>
  function begin(): Promise<Answer>[] {
    const calls: Promise<Answer>[] = []
    rounds.push([])
    answered = sleep(30).then(() => {
      open = undefined
      return Promise.allSettled(calls)
    })
    return calls
  }
  async function request(asked: Call): Promise<Answer> {
    open ??= begin()
    const answer = connection.request(asked)
    open.push(answer)
    rounds.at(-1)!.push(`${asked.method} ${asked.path.split('/').at(-1)}`)
    await answered
    return answer
  }
  return { rounds, connection: { ...connection, request } }
}

/** How many requests each round took, for an executor that has just started and for the same a moment later. */
async function roundsOfPreflight(plan: Parameters<typeof executor.preflight>[0]) {
  const counted = inRounds(executing)
  const { preflight } = clusterExecutor(counted.connection)
  const cold = await preflight(plan, options)
  const coldRounds = counted.rounds.splice(0)
  const warm = await preflight(plan, options)
  expect([cold.refusal, warm]).toEqual([null, cold])
  return { cold: coldRounds.map(({ length }) => length), warm: counted.rounds.map(({ length }) => length), asked: counted.rounds.flat() }
}

test('preflight of a scale takes two rounds, and lists no pods and no ReplicaSets', async () => {
  await deploy('counted')
  const { cold, warm, asked } = await roundsOfPreflight(await scaling('counted', 4))
  expect(cold).toEqual([1, 8]) // the Deployment; its namespace, two rights, autoscalers of two kinds, quotas, change and undo
  expect(warm).toEqual([1, 5])
  expect(asked).not.toContain('GET pods')
  expect(asked).not.toContain('GET replicasets')
  expect((await roundsOfPreflight(await scaling('counted', 2))).warm).toEqual([1, 5]) // fewer pods need no room, and disruption budgets have a say
})

test('preflight of a scale in a namespace with a quota takes one request more', async () => {
  await deploy('measured')
  await call('POST', at('/api/v1', 'resourcequotas'), { metadata: { name: 'counted' }, spec: { hard: { 'count/configmaps': '100' } } })
  expect((await roundsOfPreflight(await scaling('measured', 4))).warm).toEqual([1, 5, 1])
  await remove(at('/api/v1', 'resourcequotas', 'counted'))
})

test('preflight of a rollback takes three rounds', async () => {
  await deploy('countedback')
  await breakIt('countedback')
  const { cold, warm } = await roundsOfPreflight(await rollingBack('countedback'))
  expect(cold).toEqual([1, 9, 1]) // the dry run of the change needs the template that the ReplicaSets hold
  expect(warm).toEqual([1, 5, 1])
})

test('preflight of a restart takes three rounds, and reads the workload once', async () => {
  await deploy('countedpod')
  const { cold, warm } = await roundsOfPreflight(await restarting((await podsOf('countedpod'))[0]!['metadata'].name))
  expect(cold).toEqual([1, 7, 2])
  expect(warm).toEqual([1, 4, 2])
})

test('an observation takes two rounds of a deployment and four of a pod; a look while it settles takes two', async () => {
  await deploy('seen')
  const roundsOf = async (act: (connection: Connection) => Promise<unknown>) => {
    const counted = inRounds(looking)
    await act(counted.connection)
    return counted.rounds.map(({ length }) => length)
  }
  expect(await roundsOf((connection) => clusterReader(connection).observe(target('Deployment', 'seen')))).toEqual([1, 3])
  const pod = target('Pod', (await podsOf('seen'))[0]!['metadata'].name)
  expect(await roundsOf((connection) => clusterReader(connection).observe(pod))).toEqual([1, 2, 1, 2])
  const plan = await scaling('seen', 4)
  expect(await roundsOf((connection) => clusterReader(connection).health(plan))).toEqual([1, 2])
})
