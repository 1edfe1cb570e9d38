import { describe, expect, test } from '@jest/globals'
import { groupCommit } from './group-commit.ts'

const full = () => new Error('full')

/** Commits that the test ends one by one. */
function held() {
  const commits: { items: number[]; end: (failure?: Error) => void }[] = []
  const save = (items: number[]) => new Promise<void>((resolve, reject) => void commits.push({ items, end: (failure) => (failure ? reject(failure) : resolve()) }))
  return { commits, save }
}
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('a group commit', () => {
  test('writes the first at once, and all that came meanwhile together', async () => {
    const { commits, save } = held()
    const commit = groupCommit(save, { mostInGroup: 10, mostWaiting: 100, full })
    const done: number[] = []
    for (const item of [1, 2, 3]) void commit(item).then(() => done.push(item))
    await settled()
    expect([commits.map(({ items }) => items), done]).toEqual([[[1]], []])
    commits[0]!.end()
    await settled()
    expect([commits.map(({ items }) => items), done]).toEqual([[[1], [2, 3]], [1]])
    commits[1]!.end()
    await settled()
    expect(done).toEqual([1, 2, 3])
  })
  test('tells only those of a failed group, and goes on', async () => {
    const { commits, save } = held()
    const commit = groupCommit(save, { mostInGroup: 1, mostWaiting: 100, full })
    const [first, second] = [commit(1).catch((failure: Error) => failure.message), commit(2)]
    commits[0]!.end(new Error('down'))
    expect(await first).toBe('down')
    commits[1]!.end()
    await expect(second).resolves.toBeUndefined()
  })
  test('takes no more than it is allowed to hold', async () => {
    const { commits, save } = held()
    const commit = groupCommit(save, { mostInGroup: 1, mostWaiting: 1, full })
    const [first, second] = [commit(1), commit(2)]
    await expect(commit(3)).rejects.toThrow('full')
    commits[0]!.end()
    await first
    commits[1]!.end()
    await second
  })
})
