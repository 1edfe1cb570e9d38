import { text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

export type Freeze = {
  freezeId: string
  scope: Record<string, string>
  reason: string
  setBy: string
  setAt: string
  liftedAt: string | null
  clusters: { name: string; state: 'pending' | 'applied' }[]
}
export type Kept = { freezeId: string; cluster: string; keys: string[]; since: string }
export type Freezes = { items: Freeze[]; kept: Kept[] }

export const freezePath = '/api/v1/freeze'
const path = freezePath

const scopeText = (scope: Record<string, string>): string =>
  Object.entries(scope).map(([name, value]) => `${name}=${value}`).join(' ') || 'everything'

/** `main applied, edge pending`: whether each cluster refuses by itself, or admits again, by now. */
export const clustersText = ({ clusters }: Pick<Freeze, 'clusters'>): string => clusters.map(({ name, state }) => `${name} ${state}`).join(', ') || 'no cluster'

export const keptLine = ({ freezeId, cluster, keys }: Kept): string =>
  `${cluster} holds freeze ${freezeId} (${keys.join(', ')}), which the database does not know: look whether it was restored, then \`aegis unfreeze ${freezeId}\``

export const freeze: Command = {
  usage: 'freeze --reason text [--cluster name] [--namespace name] [--action name] [--policy id]',
  summary: 'send no change from now on; without a scope, none at all. Without --reason: list what is frozen, and what each cluster does about it',
  arguments: [0, 0],
  options: {
    reason: { type: 'string', value: 'text', describe: 'why; everyone who is held up reads it' },
    cluster: { type: 'string', value: 'name', describe: 'only in one cluster' },
    namespace: { type: 'string', value: 'name', describe: 'only in namespaces of this name' },
    action: { type: 'string', value: 'name', describe: 'only this action' },
    policy: { type: 'string', value: 'id', describe: 'only what this policy is behind' },
  },
  run: async (context) => {
    const { client, output } = context
    const scope = Object.fromEntries(['cluster', 'namespace', 'action', 'policy'].flatMap((name) => (text(context, name) === undefined ? [] : [[name, text(context, name)]])))
    const reason = text(context, 'reason')
    if (reason === undefined) {
      if (Object.keys(scope).length > 0) throw new Usage('a freeze needs --reason: everyone who is held up reads it')
      const { body } = await client<Freezes>({ method: 'GET', path })
      const rows = body.items.map((one) => [one.freezeId, scopeText(one.scope), one.liftedAt === null ? 'frozen' : 'lifted', clustersText(one), one.reason, one.setBy, one.setAt])
      const listed = rows.length === 0 ? ['nothing is frozen'] : table(['ID', 'SCOPE', 'STATE', 'CLUSTERS', 'REASON', 'SET BY', 'SINCE'], rows)
      output.result(body, [...listed, ...body.kept.map(keptLine)])
      return 0
    }
    const { body } = await client<Freeze & { known: boolean }>({ method: 'POST', path, body: { scope, reason } })
    output.result(body, [`${body.known ? 'frozen already' : 'frozen'}: ${scopeText(body.scope)} (${clustersText(body)})`, `lift it: aegis unfreeze ${body.freezeId}`])
    return 0
  },
}

export const unfreeze: Command = {
  usage: 'unfreeze <freeze id>',
  summary: 'lift a freeze',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [id = ''] }) => {
    const { body } = await client<{ lifted: true; freeze: Freeze }>({ method: 'DELETE', path: `${path}/${encodeURIComponent(id)}` })
    output.result(body, [`lifted (${clustersText(body.freeze)})`])
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
