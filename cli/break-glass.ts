import { sendWhole, shownDigest } from './answers.ts'
import { flag, text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type Use = {
  answerId: string
  remediationId: string
  action: string
  target: { cluster: string; namespace: string; kind: string; name: string }
  owner: string
  reason: string
  at: string
  review: { verdict: string; comment: string; by: string } | null
}

const path = '/api/v1/break-glass'

export const breakGlass: Command = {
  usage: 'break-glass <id> --reason text [--digest sha256:…]',
  summary: 'in an emergency: approve without the others that policy asks for. Another person reviews it within 24 hours',
  arguments: [1, 1],
  options: {
    reason: { type: 'string', value: 'text', describe: 'why nobody can be waited for, in 20 to 500 characters; the reviewer reads it' },
    digest: { type: 'string', value: 'sha256:…', describe: 'the plan you looked at; another one is refused' },
  },
  run: async (context) => {
    const reason = text(context, 'reason')
    if (reason === undefined) throw new Usage('breaking the glass needs --reason: another person reviews it')
    const planDigest = text(context, 'digest') ?? (await shownDigest(context))
    const code = await sendWhole(context, 'break-glass', { planDigest, reason })
    context.output.note('another person has to review this within 24 hours: aegis reviews')
    return code
  },
}

export const reviews: Command = {
  usage: 'reviews [--all] [--cursor text]',
  summary: 'break-glasses that wait for another person’s review; with --all the reviewed ones too',
  arguments: [0, 0],
  options: {
    all: { type: 'boolean', describe: 'also those that were reviewed' },
    cursor: { type: 'string', value: 'text', describe: 'the `next` of the page before' },
  },
  run: async (context) => {
    const query = { ...(flag(context, 'all') ? {} : { state: 'open' }), cursor: text(context, 'cursor') }
    const { body } = await context.client<{ items: Use[]; next: string | null }>({ method: 'GET', path, query })
    const rows = body.items.map(({ answerId, owner, at, action, target, remediationId, reason, review: given }) =>
      [answerId, owner, at, `${action} ${target.cluster}/${target.namespace}/${target.name}`, remediationId, given?.verdict ?? 'open', reason])
    context.output.result(body, rows.length === 0 ? ['no break-glass waits for a review'] : table(['ID', 'BY', 'AT', 'WHAT', 'REMEDIATION', 'REVIEW', 'REASON'], rows))
    if (body.next) context.output.note(`there are more: --cursor ${body.next}`)
    return 0
  },
}

export const review: Command = {
  usage: 'review <answer id> --justified|--unjustified --comment text',
  summary: 'say what you think of somebody else’s break-glass; it is recorded',
  arguments: [1, 1],
  options: {
    justified: { type: 'boolean', describe: 'nobody could be waited for' },
    unjustified: { type: 'boolean', describe: 'somebody could' },
    comment: { type: 'string', short: 'm', value: 'text', describe: 'why you think so' },
  },
  run: async (context) => {
    const comment = text(context, 'comment')
    if (flag(context, 'justified') === flag(context, 'unjustified')) throw new Usage('a review says one of --justified and --unjustified')
    if (comment === undefined) throw new Usage('a review needs --comment: it is recorded')
    const [answerId = ''] = context.positionals
    const { body } = await context.client<Use>({ method: 'POST', path: `${path}/${encodeURIComponent(answerId)}/review`, body: { verdict: flag(context, 'justified') ? 'justified' : 'unjustified', comment } })
    context.output.result(body, [`the break-glass of ${body.owner} is ${body.review?.verdict ?? 'reviewed'}`])
    return 0
  },
}
