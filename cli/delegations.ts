import { text, type Command, type Context } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type Delegation = { delegationId: string; delegator: string; delegate: string; from: string; until: string; reason: string; revokedAt: string | null }

const path = '/api/v1/delegations'

export const delegate: Command = {
  usage: 'delegate [person --until instant --reason text [--from instant] [--for person]]',
  summary: 'hand the voice for your groups to one other person for a while; without a person, the voices that are handed over',
  arguments: [0, 1],
  options: {
    until: { type: 'string', value: 'instant', describe: 'such as 2026-12-24T18:00:00Z, at most 30 days after --from' },
    from: { type: 'string', value: 'instant', describe: 'now, unless said otherwise' },
    reason: { type: 'string', value: 'text', describe: 'why; it is recorded' },
    for: { type: 'string', value: 'person', describe: 'whose voice it is; for admins' },
  },
  run: async (context) => {
    const [person] = context.positionals
    if (person === undefined) return listed(context)
    const [until, reason, from, delegator] = ['until', 'reason', 'from', 'for'].map((option) => text(context, option))
    if (!until || !reason) throw new Usage('a delegation needs --until and --reason')
    const body = { delegate: person, until, reason, ...(from === undefined ? {} : { from }), ...(delegator === undefined ? {} : { delegator }) }
    const { body: given } = await context.client<Delegation>({ method: 'POST', path, body })
    context.output.result(given, [`${given.delegate} speaks for the groups of ${given.delegator} from ${given.from} until ${given.until}`, `take it back: aegis undelegate ${given.delegationId}`])
    return 0
  },
}

async function listed({ client, output }: Context): Promise<number> {
  const { body } = await client<{ items: Delegation[]; next: string | null }>({ method: 'GET', path, query: { limit: '200' } })
  const rows = body.items.map((one) => [one.delegationId, one.delegator, one.delegate, one.from, one.until, one.reason])
  output.result(body, rows.length === 0 ? ['no voice is handed over'] : table(['ID', 'VOICE OF', 'WITH', 'FROM', 'UNTIL', 'REASON'], rows))
  if (body.next) output.note('there are more: GET /api/v1/delegations')
  return 0
}

export const undelegate: Command = {
  usage: 'undelegate <delegation id>',
  summary: 'take a voice back at once; what was approved by it before stays approved',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [id = ''] }) => {
    const { body } = await client<{ revoked: true }>({ method: 'DELETE', path: `${path}/${encodeURIComponent(id)}` })
    output.result(body, ['taken back'])
    return 0
  },
}
