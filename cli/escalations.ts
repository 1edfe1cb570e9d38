import { text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type Rule = { group: string; to: string; afterMs: number; setBy: string }

const path = '/api/v1/escalations'
const pathOf = (group: string): string => `${path}/${encodeURIComponent(group)}`

const minuteMs = 60_000
const units: Record<string, number> = { m: minuteMs, h: 60 * minuteMs }

const minutes = (ms: number): string => `${ms / minuteMs} min`

export const escalation: Command = {
  usage: 'escalation',
  summary: 'to whom a group’s voice comes when nobody of it answers, and after how long',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body } = await client<{ items: Rule[] }>({ method: 'GET', path })
    const rows = body.items.map(({ group, to, afterMs, setBy }) => [group, to, minutes(afterMs), setBy])
    output.result(body, rows.length === 0 ? ['no group’s voice comes to another'] : table(['GROUP', 'TO', 'AFTER', 'SET BY'], rows))
    return 0
  },
}

export const escalationSet: Command = {
  usage: 'escalation set <group> --to group --after 15m',
  summary: 'let members of another group speak for this one once people have been asked for so long',
  arguments: [1, 1],
  options: {
    to: { type: 'string', value: 'group', describe: 'who may speak for it then' },
    after: { type: 'string', value: 'time', describe: 'such as 15m or 2h; 1m to 24h' },
  },
  run: async (context) => {
    const [group = ''] = context.positionals
    const [to, after] = [text(context, 'to'), text(context, 'after')]
    if (!to || !after) throw new Usage('an escalation needs --to and --after')
    const [, count, unit = ''] = /^(\d{1,4})([mh])$/.exec(after) ?? []
    if (count === undefined) throw new Usage(`--after must be minutes or hours such as 15m or 2h, not \`${after}\``)
    const { body } = await context.client<Rule>({ method: 'PUT', path: pathOf(group), body: { to, afterMs: Number(count) * units[unit]! } })
    context.output.result(body, [`${body.to} may speak for ${body.group} after ${minutes(body.afterMs)} without enough answers`])
    return 0
  },
}

export const escalationRemove: Command = {
  usage: 'escalation remove <group>',
  summary: 'keep a group’s voice with the group',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [group = ''] }) => {
    const { body } = await client<{ removed: true }>({ method: 'DELETE', path: pathOf(group) })
    output.result(body, [`the voice of ${group} stays with it`])
    return 0
  },
}
