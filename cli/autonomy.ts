import { text, type Command, type Context } from './command.ts'
import { Usage } from './connection.ts'
import { bar, table } from './output.ts'

type Bound = { bound: number }
type Place = {
  policy: string
  cluster: string
  namespace: string
  mode: string
  evidence: { suggestions: Bound & { agreed: number; ignored: number }; approvals: Bound & { approved: number; declined: number }; acts: Bound & { healed: number; bad: number } }
  proposal: string | null
  why: string
}

const path = '/api/v1/autonomy'

export const autonomy: Command = {
  usage: 'autonomy [--policy id] [--cluster name] [--namespace name]',
  summary: 'how far each policy may go in each namespace, and what speaks for more',
  arguments: [0, 0],
  options: {
    policy: { type: 'string', value: 'id', describe: 'of one policy' },
    cluster: { type: 'string', value: 'name', describe: 'of one cluster' },
    namespace: { type: 'string', value: 'name', describe: 'of one namespace' },
  },
  run: async (context) => {
    const query = Object.fromEntries(['policy', 'cluster', 'namespace'].map((name) => [name, text(context, name)]))
    const { body } = await context.client<{ items: Place[]; enough: number }>({ method: 'GET', path, query })
    context.output.result(body, body.items.length === 0 ? ['no policy has permitted anything yet'] : placeLines(body.items))
    return 0
  },
}

/** What people said at the mode where it stands, and how its acts ended, each with the share that these few vouch for. */
function placeLines(items: readonly Place[]): string[] {
  const rows = items.map(({ policy, cluster, namespace, mode, evidence: { suggestions, approvals, acts }, proposal }) => {
    const said = mode === 'suggest' ? share(suggestions.agreed, suggestions.ignored, suggestions) : share(approvals.approved, approvals.declined, approvals)
    return [policy, `${cluster}/${namespace}`, mode, said, share(acts.healed, acts.bad, acts), proposal ?? '-']
  })
  const why = items.map(({ policy, cluster, namespace, why }) => `${policy} in ${cluster}/${namespace}: ${why}`)
  return [...table(['POLICY', 'WHERE', 'MODE', 'PEOPLE AGREED', 'ACTS HEALED', 'PROPOSED'], rows), '', ...why]
}

const share = (yes: number, no: number, { bound }: Bound): string => `${bar(bound, 1)} ${yes}/${yes + no}`

type Rung = { policy: string; cluster: string; namespace: string; mode: string }

const stepCommand = (word: 'promote' | 'demote', summary: string): Command => ({
  usage: `autonomy ${word} <policy> <[cluster/]namespace> <mode> --reason text`,
  summary,
  arguments: [3, 3],
  options: { reason: { type: 'string', value: 'text', describe: 'why; the record keeps it' } },
  run: async (context) => {
    const { body } = await context.client<Rung>({ method: 'POST', path: `${path}/${word}`, body: stepOf(context) })
    context.output.result(body, [`${body.policy} is at ${body.mode} in ${body.cluster}/${body.namespace}`])
    return 0
  },
})

function stepOf(context: Context): object {
  const [policy = '', where = '', mode = ''] = context.positionals
  const reason = text(context, 'reason')
  if (reason === undefined) throw new Usage('a step needs --reason: the record keeps it')
  const [namespace, cluster, ...rest] = where.split('/').reverse()
  if (rest.length > 0) throw new Usage(`\`${where}\` is not a place: write namespace or cluster/namespace`)
  return { policy, namespace, mode, reason, ...(cluster === undefined ? {} : { cluster }) }
}

export const autonomyPromote = stepCommand('promote', 'one rung up, where the evidence proposes it')
export const autonomyDemote = stepCommand('demote', 'any number of rungs down, at any time')
