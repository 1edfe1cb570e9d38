import { text, type Command, type Context } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type FreezeWindow = { windowId: string; scope: Record<string, string>; from: string; to: string; localFrom: string; localTo: string; zone: string; reason: string }

const path = '/api/v1/freeze/windows'

const scopeText = (scope: Record<string, string>): string => Object.entries(scope).map(([name, value]) => `${name}=${value}`).join(' ') || 'everything'

export const freezeWindows: Command = {
  usage: 'freeze windows',
  summary: 'freezes known ahead: in force and to come',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body } = await client<{ items: FreezeWindow[] }>({ method: 'GET', path })
    const rows = body.items.map(({ windowId, scope, localFrom, localTo, zone, reason }) => [windowId, scopeText(scope), localFrom, localTo, zone, reason])
    output.result(body, rows.length === 0 ? ['no freeze is known ahead'] : table(['ID', 'SCOPE', 'FROM', 'TO', 'ZONE', 'REASON'], rows))
    return 0
  },
}

export const freezeSchedule: Command = {
  usage: 'freeze schedule <from> <to> --zone name --reason text [--cluster name] [--namespace name] [--action name]',
  summary: 'send no change from one wall-clock time to another, such as 2026-12-24T18:00 2027-01-02T08:00',
  arguments: [2, 2],
  options: {
    zone: { type: 'string', value: 'name', describe: 'whose wall it is, such as Europe/Berlin' },
    reason: { type: 'string', value: 'text', describe: 'why; everyone who is held up reads it' },
    cluster: { type: 'string', value: 'name', describe: 'only in one cluster' },
    namespace: { type: 'string', value: 'name', describe: 'only in namespaces of this name' },
    action: { type: 'string', value: 'name', describe: 'only this action' },
  },
  run: async (context) => {
    const { body } = await context.client<FreezeWindow>({ method: 'POST', path, body: draftOf(context) })
    context.output.result(body, [`frozen from ${body.from} to ${body.to}: ${scopeText(body.scope)}`, `cancel it: aegis freeze cancel ${body.windowId}`])
    return 0
  },
}

function draftOf(context: Context): object {
  const [from, to] = context.positionals
  const [zone, reason] = [text(context, 'zone'), text(context, 'reason')]
  if (zone === undefined) throw new Usage('a wall-clock time needs --zone, such as Europe/Berlin or UTC')
  if (reason === undefined) throw new Usage('a freeze needs --reason: everyone who is held up reads it')
  const scope = Object.fromEntries(['cluster', 'namespace', 'action'].flatMap((name) => (text(context, name) === undefined ? [] : [[name, text(context, name)]])))
  return { scope, from, to, zone, reason }
}

export const freezeCancel: Command = {
  usage: 'freeze cancel <window id>',
  summary: 'cancel a freeze known ahead, or end one that is in force',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [id = ''] }) => {
    const { body } = await client<{ cancelled: true }>({ method: 'DELETE', path: `${path}/${encodeURIComponent(id)}` })
    output.result(body, ['cancelled'])
    return 0
  },
}
