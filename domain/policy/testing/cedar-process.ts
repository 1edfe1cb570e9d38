import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { CedarContext, CedarQuestions } from './cedar.ts'

/** The first question when Cedar denies it, else the second. */
export type CedarAnswer = { question: keyof CedarQuestions; decision: 'allow' | 'deny'; reason: string[] }
type Reply = { version?: string; answers?: CedarAnswer[]; error?: string }

/** One batch at a time: for each context, what Cedar decides and by which policies. */
export type Cedar = {
  version: string
  ask(questions: CedarQuestions, contexts: readonly CedarContext[]): Promise<CedarAnswer[]>
  stop(): Promise<void>
}

/**
 * Starts Cedar in a child process. Without the flag its WebAssembly aborts Node 20 and 22 now and then,
 * which no test may take for an answer: every question after the end of the process is rejected, and says so.
 */
export async function startCedar(): Promise<Cedar> {
  const child = fork(join(import.meta.dirname, 'cedar-child.mjs'), [], { execArgv: ['--no-turbo-inline-js-wasm-calls'] })
  const ended = once(child, 'exit').then(([code, signal]): never => {
    throw new Error(`the Cedar process ended (${signal === null ? `code ${code}` : String(signal)}), so it answers nothing`)
  })
  ended.catch(() => undefined)
  const reply = async (): Promise<Reply> => Promise.race([once(child, 'message').then(([message]) => message as Reply), ended])
  const { version } = await reply()
  return {
    version: version!,
    async ask(questions, contexts) {
      if (child.connected) child.send({ ...questions, contexts })
      const { answers, error } = await reply()
      if (!answers) throw new Error(`Cedar could not answer: ${error}`)
      return answers
    },
    async stop() {
      child.kill()
      await ended.catch(() => undefined)
    },
  }
}
