import { text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type Freeze = { freezeId: string; scope: Record<string, string>; reason: string; setBy: string; setAt: string }

const path = '/api/v1/freeze'

const scopeText = (scope: Record<string, string>): string =>
  Object.entries(scope).map(([name, value]) => `${name}=${value}`).join(' ') || 'everything'

export const freeze: Command = {
  usage: 'freeze --reason text [--cluster name] [--namespace name] [--action name]',
  summary: 'send no change from now on; without a scope, none at all. Without --reason: list what is frozen',
  arguments: [0, 0],
  options: {
    reason: { type: 'string', value: 'text', describe: 'why; everyone who is held up reads it' },
    cluster: { type: 'string', value: 'name', describe: 'only in one cluster' },
    namespace: { type: 'string', value: 'name', describe: 'only in namespaces of this name' },
    action: { type: 'string', value: 'name', describe: 'only this action' },
  },
  run: async (context) => {
    const { client, output } = context
    const scope = Object.fromEntries(['cluster', 'namespace', 'action'].flatMap((name) => (text(context, name) === undefined ? [] : [[name, text(context, name)]])))
    const reason = text(context, 'reason')
    if (reason === undefined) {
      if (Object.keys(scope).length > 0) throw new Usage('a freeze needs --reason: everyone who is held up reads it')
      const { body } = await client<{ items: Freeze[] }>({ method: 'GET', path })
      const rows = body.items.map((one) => [one.freezeId, scopeText(one.scope), one.reason, one.setBy, one.setAt])
      output.result(body, rows.length === 0 ? ['nothing is frozen'] : table(['ID', 'SCOPE', 'REASON', 'SET BY', 'SINCE'], rows))
      return 0
    }
    const { body } = await client<Freeze & { known: boolean }>({ method: 'POST', path, body: { scope, reason } })
    output.result(body, [`${body.known ? 'frozen already' : 'frozen'}: ${scopeText(body.scope)}`, `lift it: aegis unfreeze ${body.freezeId}`])
    return 0
  },
}

export const unfreeze: Command = {
  usage: 'unfreeze <freeze id>',
  summary: 'lift a freeze',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [id = ''] }) => {
    const { body } = await client<{ lifted: true }>({ method: 'DELETE', path: `${path}/${encodeURIComponent(id)}` })
    output.result(body, ['lifted'])
    return 0
  },
}

export const release: Command = {
  usage: 'release <remediation id | [cluster/]namespace/Kind/name>',
  summary: 'you have looked: let Aegis act again on a workload it kept for a person',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [which = ''] }) => {
    const { body } = await client<{ released: true }>({ method: 'POST', path: '/api/v1/claims/release', body: whichOf(which) })
    output.result(body, ['released'])
    return 0
  },
}

export function whichOf(text: string): object {
  const parts = text.split('/')
  if (parts.length === 1) return { id: text }
  if (parts.length > 4 || parts.length < 3) throw new Usage(`\`${text}\` is not a workload: write namespace/Kind/name or cluster/namespace/Kind/name`)
  const [name, kind, namespace, cluster] = [...parts].reverse()
  return { workload: { ...(cluster === undefined ? {} : { cluster }), namespace, kind, name } }
}
