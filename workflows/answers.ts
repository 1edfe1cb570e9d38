import type { Ending } from '../domain/remediation.ts'
import type { AnswerKind } from '../domain/transition.ts'
import { ending } from './endings.ts'
import { ref, type Story } from './story.ts'

export const anyAnswer: readonly AnswerKind[] = ['approve', 'reject', 'cancel', 'resolve']
export const stopAnswers: readonly AnswerKind[] = ['cancel', 'resolve']

/** Looks at what came in the meantime and asks to stop, if its row bears it out. */
export async function stopAsked({ run, decide }: Story, withinMs: number, kinds = stopAnswers): Promise<Ending | undefined> {
  for (let message = run.take(kinds); message; message = run.take(kinds)) {
    const checked = await decide.checkAnswer(`check the answer ${message.kind}`, withinMs, { ...ref(run), digest: null, ...message })
    if (checked.valid) return endingOfAnswer(checked.kind, checked.by, checked.comment)
  }
  return undefined
}

/** Waits, unless somebody wants it to stop. */
export async function pause(story: Story, waitMs: number, summary: string): Promise<Ending | undefined> {
  const { run } = story
  await run.answered(stopAnswers, Math.min(waitMs, run.leftMs()), summary)
  return stopAsked(story, run.leftMs())
}

export function endingOfAnswer(kind: AnswerKind, by: string, comment: string): Ending {
  const said = comment === '' ? '' : `: ${comment}`
  if (kind === 'reject') return ending('declined', 'rejected', `${by} declined${said}`)
  if (kind === 'resolve') return ending('no_action_needed', 'alert_resolved', 'the alert stopped firing before anything was changed')
  return ending('cancelled', 'cancelled_by_person', `${by} cancelled${said}`)
}
