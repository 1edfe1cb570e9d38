import { text, type Command, type Context } from './command.ts'
import { Refused } from './connection.ts'
import { detailOf, pathOf, summaryLines } from './remediations.ts'

type Reply = { answerId: string; state: 'delivered' | 'recorded' }

const comment = { comment: { type: 'string', short: 'm', value: 'text', describe: 'goes into the ledger' } } as const

const send = (context: Context, verb: string, body: object): Promise<number> => sendWhole(context, verb, { ...body, comment: text(context, 'comment') ?? '' })

export async function sendWhole(context: Context, verb: string, body: object): Promise<number> {
  const [id = ''] = context.positionals
  const { body: reply } = await context.client<Reply>({ method: 'POST', path: pathOf(id, verb), body })
  context.output.result(reply, [reply.state === 'delivered' ? `${verb}: the run has it` : `${verb}: recorded; the run is told as soon as it can be`])
  return 0
}

export const approve: Command = {
  usage: 'approve <id> [--digest sha256:…] [--comment text]',
  summary: 'approve a plan; without --digest, the one shown now',
  arguments: [1, 1],
  options: { digest: { type: 'string', value: 'sha256:…', describe: 'the plan you looked at; another one is refused' }, ...comment },
  run: async (context) => {
    const planDigest = text(context, 'digest') ?? (await shownDigest(context))
    return send(context, 'approve', { planDigest })
  },
}

/** Says what is being approved, so that the digest stands for something that was seen. */
export async function shownDigest(context: Context): Promise<string> {
  const [id = ''] = context.positionals
  const detail = await detailOf(context, id)
  if (!detail.plan) throw new Refused('there is no plan to approve yet', `wait for it: aegis show ${id} --watch`)
  for (const line of summaryLines(detail)) context.output.note(line)
  return detail.plan.digest
}

export const reject: Command = {
  usage: 'reject <id> [--comment text]',
  summary: 'reject what waits for an approval',
  arguments: [1, 1],
  options: comment,
  run: (context) => send(context, 'reject', {}),
}

export const cancel: Command = {
  usage: 'cancel <id> [--comment text]',
  summary: 'cancel a remediation; while a change is in flight this is refused, and it is fenced',
  arguments: [1, 1],
  options: comment,
  run: (context) => send(context, 'cancel', {}),
}
