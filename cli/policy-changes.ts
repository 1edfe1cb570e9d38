import { flag, text, type Command, type Context } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

export type Change = { id: string; state: string; author: string; decidedBy: string | null; why: string; comment: string; proposedAt: string; policies: { id: string; version: number | null; effect: string | null }[] }
/** What it would come to over the policies in force; null once it is settled. */
export type Now = { snapshot: string | null; why: string | null; witness: object | null; refused: string | null }
type Shown = Change & { witness: object | null; now: Now | null; documents: { id: string; wanted: object | null; inForce: object | null }[] }

const path = '/api/v1/policy-changes'

export const policyChanges: Command = {
  usage: 'policy changes [change id] [--all]',
  summary: 'changes of policies that wait for a second person, because they let more happen; one by its id with its documents',
  arguments: [0, 1],
  options: { all: { type: 'boolean', describe: 'also those that were settled' } },
  run: async (context) => {
    const [id] = context.positionals
    return id === undefined ? listed(context) : shown(context, id)
  },
}

async function listed(context: Context): Promise<number> {
  const { client, output } = context
  const query = { limit: '100', ...(flag(context, 'all') ? {} : { state: 'proposed' }) }
  const { body } = await client<{ items: Change[] }>({ method: 'GET', path, query })
  const rows = body.items.map((one) => [one.id, one.state, one.author, of(one), one.why])
  output.result(body, rows.length > 0 ? table(['ID', 'STATE', 'BY', 'OF', 'WHY'], rows) : ['no change waits for a second person'])
  return 0
}

async function shown({ client, output }: Context, id: string): Promise<number> {
  const { body } = await client<Shown>({ method: 'GET', path: `${path}/${encodeURIComponent(id)}` })
  output.result(body, [
    `${body.state}, asked for by ${body.author} at ${body.proposedAt}: ${body.comment}`,
    `why it took two when it was asked for: ${body.why}`,
    ...nowLines(body.now),
    ...(body.now?.witness ? ['such a request:', ...lines(body.now.witness)] : []),
    ...body.documents.flatMap(({ id: policy, wanted, inForce }) => [`in force as \`${policy}\` now:`, ...lines(inForce), 'instead:', ...lines(wanted)]),
  ])
  return 0
}

export function nowLines(now: Now | null): string[] {
  if (!now) return []
  if (now.refused !== null) return [`it cannot be put in force as things are: ${now.refused}`]
  return [`over what is in force now (${now.snapshot ?? 'nothing that can be proven'}): ${now.why ?? 'it lets nothing more happen'}`]
}

const lines = (value: object | null): string[] => (value === null ? ['  nothing'] : JSON.stringify(value, null, 2).split('\n').map((line) => `  ${line}`))

const mostNamed = 3

const of = ({ policies }: Change): string =>
  policies.slice(0, mostNamed).map(({ id }) => id).join(' ') + (policies.length > mostNamed ? ` and ${policies.length - mostNamed} more` : '')

export const policyWithdraw: Command = {
  usage: 'policy withdraw <change id> --comment text',
  summary: 'take back a change of policies that waits for a second person; any one person may',
  arguments: [1, 1],
  options: { comment: { type: 'string', value: 'text', describe: 'why; it is recorded' } },
  run: async (context) => {
    const [id = ''] = context.positionals
    const comment = text(context, 'comment')
    if (comment === undefined) throw new Usage('say why: --comment "…"')
    const { body } = await context.client<Change>({ method: 'POST', path: `${path}/${encodeURIComponent(id)}/withdraw`, body: { comment } })
    context.output.result(body, [settledText(body)])
    return 0
  },
}

/** What the API answers where it kept a change instead of publishing it. */
export type Kept = { changeId: string; why: string; nextStep: string }
export const isKept = (body: object): body is Kept => 'changeId' in body

export const keptLines = ({ changeId, why, nextStep }: Kept): string[] => [`not in force: kept as change ${changeId}, because it lets more happen: ${why}`, nextStep]

export const settledText = (change: Change): string => `change ${change.id} of ${change.policies.length === 0 ? 'no policy' : `\`${of(change)}\``} is ${change.state}`
