import { expect, test } from '@jest/globals'
import type { Client } from '@temporalio/client'
import { startReconciler } from './reconciler.ts'

test('one request that cannot be closed holds up neither the others nor the lost runs', async () => {
  const done: string[] = []
  const failures: unknown[] = []
  const client = {
    workflow: {
      getHandle: () => ({ describe: async () => ({ status: { name: 'TERMINATED' } }) }),
      start: async (_type: string, { workflowId }: { workflowId: string }) => done.push(workflowId),
    },
  } as unknown as Client
  const stuck = new Error('too old')
  const reconciler = startReconciler({
    client,
    everyMs: 60_000,
    overdue: async () => [{ id: 'stuck' }, { id: 'other' }],
    async closeOverdue(id) {
      if (id === 'stuck') throw stuck
      done.push(`closed ${id}`)
    },
    unsettled: async () => [{ id: 'lost', cluster: 'main' }],
    onLost: ({ id }) => done.push(`lost ${id}`),
    onFailure: (failure) => failures.push(failure),
  })
  await reconciler.stop()
  expect(failures).toEqual([stuck])
  expect(done).toEqual(['closed other', 'lost lost', 'settle/lost'])
})
