/** A freeze as an operator sets it, and what the clusters say to it. */
import type { FaultyAegis } from './faulty-aegis.ts'
import type { Operator } from './operator.ts'
import { eventually } from './stack.ts'

export type FreezeView = { freezeId: string; scope: object; liftedAt: string | null; clusters: { name: string; state: string; at: string | null }[] }
export type FreezeList = { items: FreezeView[]; kept: { freezeId: string; cluster: string; keys: string[] }[] }

export const freezes = async (operator: Operator): Promise<FreezeList> => (await operator.must('GET', '/api/v1/freeze')) as unknown as FreezeList

/** Returns when it was answered, by this machine's clock, which is also the API server's. */
export async function freeze(operator: Operator, scope: object = {}): Promise<{ freezeId: string; answeredAtMs: number }> {
  const { freezeId } = await operator.must('POST', '/api/v1/freeze', { scope, reason: 'a test of the freeze' })
  return { freezeId: String(freezeId), answeredAtMs: Date.now() }
}

/** Until each cluster refuses by itself. Returns when the last one said so. */
export const untilApplied = (operator: Operator, freezeId: string, limitMs = 20_000): Promise<number> =>
  eventually('each cluster refuses by itself', async () => {
    const found = (await freezes(operator)).items.find((each) => each.freezeId === freezeId)
    return found !== undefined && found.clusters.every(({ state }) => state === 'applied') && Math.max(...found.clusters.map(({ at }) => Date.parse(at ?? '')))
  }, limitMs)

/** Lifted, and each cluster admits again. */
export async function thawed({ operator }: Pick<FaultyAegis, 'operator'>, freezeId: string): Promise<void> {
  await operator.must('DELETE', `/api/v1/freeze/${freezeId}`)
  await eventually('each cluster admits again', async () => (await freezes(operator)).items.every((each) => each.freezeId !== freezeId))
}
