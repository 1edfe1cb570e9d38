import { describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/failure.ts'
import { grouped } from './grouped.ts'

const bounds = { mostInGroup: 10, mostRunning: 1, mostWaiting: 100, full: () => new Error('full') }

/** Work that the test ends piece by piece: each item comes back tenfold. */
function held() {
  const groups: { items: number[]; end: (failure?: Error) => void }[] = []
  const work = (items: number[]) =>
    new Promise<number[]>((resolve, reject) => void groups.push({ items, end: (failure) => (failure ? reject(failure) : resolve(items.map((item) => item * 10))) }))
  return { groups, work }
}
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('calls in groups', () => {
  test('those of one turn go together at its end, and all that came meanwhile go together next, each with its own answer', async () => {
    const { groups, work } = held()
    const ask = grouped(work, bounds)
    const done: number[] = []
    const asking = (...items: number[]) => items.forEach((item) => void ask(item).then((result) => done.push(result)))
    asking(1, 2)
    expect(groups).toEqual([])
    await settled()
    asking(3)
    await settled()
    asking(4)
    await settled()
    expect([groups.map(({ items }) => items), done]).toEqual([[[1, 2]], []])
    groups[0]!.end()
    await settled()
    expect([groups.map(({ items }) => items), done]).toEqual([[[1, 2], [3, 4]], [10, 20]])
    groups[1]!.end()
    await settled()
    expect(done).toEqual([10, 20, 30, 40])
  })
  test('only those of a failed group hear of it, and the rest goes on', async () => {
    const { groups, work } = held()
    const ask = grouped(work, { ...bounds, mostInGroup: 1 })
    const [first, second] = [ask(1).catch((failure: Error) => failure.message), ask(2)]
    await settled()
    groups[0]!.end(new Error('down'))
    expect(await first).toBe('down')
    groups[1]!.end()
    expect(await second).toBe(20)
  })
  test('what cannot be done for one does not cost the others of its group; what is away is away for all', async () => {
    const asked: number[][] = []
    const ask = grouped(async (items: number[]) => {
      asked.push(items)
      await settled()
      if (items.includes(3)) throw new Error('odd')
      return items
    }, bounds)
    const answers = await Promise.allSettled([1, 2, 3, 4].map(ask))
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    expect(asked).toEqual([[1, 2, 3, 4], [1], [2], [3], [4]])

    const away = grouped(async () => settled().then(() => Promise.reject(new Failure('unavailable', 'database_down', 'away'))), bounds)
    expect((await Promise.allSettled([1, 2, 3].map(away))).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  })
  test('a slow group holds nobody up while another may run', async () => {
    const { groups, work } = held()
    const ask = grouped(work, { ...bounds, mostRunning: 2 })
    const slow = ask(1)
    await settled()
    const quick = ask(2)
    await settled()
    groups[1]!.end()
    expect(await quick).toBe(20)
    groups[0]!.end()
    await slow
  })
  test('no more may wait than are allowed to', async () => {
    const { groups, work } = held()
    const ask = grouped(work, { ...bounds, mostWaiting: 1 })
    const first = ask(1)
    await settled()
    const second = ask(2)
    await expect(ask(3)).rejects.toThrow('full')
    groups[0]!.end()
    await first
    groups[1]!.end()
    await second
  })
})
