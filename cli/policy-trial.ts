import type { Command } from './command.ts'
import { table } from './output.ts'

type Item = { remediationId: string; action: string; target: { cluster: string; namespace: string; name: string }; otherwise: 'act' | 'ask'; decidedAt: string; askedByPerson: boolean }

export const policyTrial: Command = {
  usage: 'policy trial <id>',
  summary: 'what a new policy would have done while it was held at `suggest`',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [id = ''] }) => {
    const { body } = await client<{ items: Item[] }>({ method: 'GET', path: `/api/v1/policy/${encodeURIComponent(id)}/trial` })
    const rows = body.items.map(({ remediationId, action, target, otherwise, decidedAt, askedByPerson }) =>
      [decidedAt, action, `${target.cluster}/${target.namespace}/${target.name}`, otherwise === 'act' ? 'would have acted' : 'would have asked', askedByPerson ? 'yes' : 'no', remediationId])
    output.result(body, rows.length === 0 ? [`${id} has held nothing back`] : table(['WHEN', 'ACTION', 'WHERE', 'WOULD', 'A PERSON DID', 'ID'], rows))
    return 0
  },
}
