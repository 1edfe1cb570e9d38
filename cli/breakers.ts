import { text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type Breaker = { policy: string; reason: string; remediationId: string; openedAt: string }

const path = '/api/v1/breakers'

export const breaker: Command = {
  usage: 'breaker',
  summary: 'policies whose breaker is open: what they permit is not done',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body } = await client<{ items: Breaker[] }>({ method: 'GET', path })
    const rows = body.items.map(({ policy, openedAt, remediationId, reason }) => [policy, openedAt, remediationId, reason])
    output.result(body, rows.length === 0 ? ['no breaker is open'] : table(['POLICY', 'SINCE', 'LAST', 'REASON'], rows))
    return 0
  },
}

export const breakerClose: Command = {
  usage: 'breaker close <policy> --reason text',
  summary: 'you have looked into it: let a policy permit again',
  arguments: [1, 1],
  options: { reason: { type: 'string', value: 'text', describe: 'what you found; the record keeps it' } },
  run: async (context) => {
    const reason = text(context, 'reason')
    if (reason === undefined) throw new Usage('closing a breaker needs --reason: the record keeps it')
    const [policy] = context.positionals
    const { body } = await context.client<{ closed: true }>({ method: 'POST', path: `${path}/close`, body: { policy, reason } })
    context.output.result(body, [`${policy} may permit again`])
    return 0
  },
}
