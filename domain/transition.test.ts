import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { answerKinds, isWaiting, newConversation, next, take, type AnswerMessage, type Conversation } from './transition.ts'

const message = fc.record({ kind: fc.constantFrom(...answerKinds), answerId: fc.constantFrom('a', 'b', 'c', 'd', 'e') })
const hearAll = (messages: readonly unknown[]): Conversation => messages.reduce<Conversation>((state, heard) => take(state, heard).next, newConversation())

describe('a conversation', () => {
  test('takes each answer once, however often it is delivered', () => {
    fc.assert(
      fc.property(fc.array(message), (messages) => {
        const { queue, taken } = hearAll(messages)
        expect(new Set(taken).size).toBe(taken.length)
        expect(queue.map(({ answerId }) => answerId)).toEqual(taken)
        expect(new Set(messages.map(({ answerId }) => answerId))).toEqual(new Set(taken))
      }),
    )
  })
  test('hands out each answer once, oldest first within its kinds', () => {
    fc.assert(
      fc.property(fc.array(message), fc.subarray([...answerKinds]), (messages, kinds) => {
        let state = hearAll(messages)
        const wanted = state.queue.filter(({ kind }) => kinds.includes(kind))
        const got: AnswerMessage[] = []
        while (isWaiting(state, kinds)) {
          const step = next(state, kinds)
          if (step.message) got.push(step.message)
          state = step.next
        }
        expect(got).toEqual(wanted)
        expect(state.queue.every(({ kind }) => !kinds.includes(kind))).toBe(true)
      }),
    )
  })
  test('takes nothing after it is closed', () => {
    const closed: Conversation = { ...newConversation(), stage: 'closed' }
    expect(take(closed, { kind: 'approve', answerId: 'a' })).toEqual({ next: closed, reply: { taken: false, because: 'closed' } })
  })
  test('is bounded: a flood of ids is refused', () => {
    const flood = Array.from({ length: 250 }, (_, index) => ({ kind: 'approve', answerId: `${index}` }))
    expect(hearAll(flood).taken).toHaveLength(100)
  })
  test.each([[undefined], [null], ['approve'], [{}], [{ kind: 'allow', answerId: 'a' }], [{ kind: 'approve' }], [{ kind: 'approve', answerId: 7 }], [{ kind: 'approve', answerId: 'x'.repeat(65) }]])(
    'refuses the malformed message %j',
    (malformed) => expect(take(newConversation(), malformed).reply).toEqual({ taken: false, because: 'malformed' }),
  )
})
