import { text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'
import { isKept, keptLines, type Kept } from './policy-changes.ts'
import { filesAt } from './policy.ts'

type Item = { id: string; version: number; effect: string; enforcement: string; mode: string; managedBy: string; author: string; at: string }
type Excepted = { id: string; policy: string; resources: string[]; author: string; approvedBy: string; expiresAt: string; reason: string }
type InForce = { snapshot: string; seq: number | null; stale: boolean; error: string | null; items: Item[]; exceptions: Excepted[] }
type Sync = { directory: string | null; commit: string | null; syncedAt: string | null; error: string | null; drift: { id: string; difference: string }[] }

export const policyList: Command = {
  usage: 'policy list',
  summary: 'the policies in force, where they come from, and how the synced files differ from them',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body: inForce } = await client<InForce>({ method: 'GET', path: '/api/v1/policy' })
    const { body: sync } = await client<Sync>({ method: 'GET', path: '/api/v1/policy/audit/sync' })
    output.result({ ...inForce, sync }, [...policyLines(inForce), ...syncLines(sync)])
    return inForce.stale || sync.error !== null || sync.drift.length > 0 ? 1 : 0
  },
}

function policyLines({ seq, snapshot, stale, error, items, exceptions }: InForce): string[] {
  const rows = items.map((one) => [one.id, `${one.version}`, one.effect, one.enforcement, one.mode, one.managedBy, one.author, one.at])
  return [
    seq === null ? 'no policies are in force: everything is denied' : `snapshot ${seq} (${snapshot})`,
    ...(stale ? ['STALE: nothing is allowed until the policies can be confirmed'] : []),
    ...(error === null ? [] : error.split('\n')),
    ...(items.length > 0 ? table(['ID', 'VERSION', 'EFFECT', 'ENFORCEMENT', 'MODE', 'FROM', 'BY', 'SINCE'], rows) : []),
    ...(exceptions.length > 0 ? ['exceptions:', ...table(['ID', 'FROM', 'ON', 'UNTIL', 'BY', 'AGREED BY', 'REASON'], exceptions.map((one) => [one.id, one.policy, one.resources.join(' '), one.expiresAt, one.author, one.approvedBy, one.reason]))] : []),
  ]
}

function syncLines({ directory, commit, syncedAt, error, drift }: Sync): string[] {
  if (directory === null) return ['no directory is synced']
  return [
    `synced from ${directory}${commit === null ? '' : ` at commit ${commit.slice(0, 12)}`}${syncedAt === null ? '' : `, ${syncedAt}`}`,
    ...(error === null ? [] : ['NOT in force as the files stand:', ...error.split('\n').map((line) => `  ${line}`)]),
    ...drift.map(({ id, difference }) => `  drift: ${id} (${difference.replaceAll('_', ' ')})`),
  ]
}

export const policyApply: Command = {
  usage: 'policy apply <directory> [--commit id] [--comment text] [--over snapshot]',
  summary: 'make these files the whole of what Git manages; for pipelines, where the API syncs no directory itself',
  arguments: [1, 1],
  options: {
    commit: { type: 'string', value: 'id', describe: 'the commit the files are of; it is recorded' },
    comment: { type: 'string', value: 'text', describe: 'why; it is recorded' },
    over: { type: 'string', value: 'snapshot', describe: 'recovery: nothing stays of this one, which cannot be proven any more' },
  },
  run: async (context) => {
    const [path = ''] = context.positionals
    const [commit, comment, over] = [text(context, 'commit'), text(context, 'comment'), text(context, 'over')]
    if (over !== undefined && !/^[1-9]\d{0,8}$/.test(over)) throw new Usage('name the snapshot by its number: --over 7')
    const body = { files: filesAt(path), ...(over === undefined ? {} : { over: Number(over) }), ...(commit === undefined ? {} : { commit }), ...(comment === undefined ? {} : { comment }) }
    const { body: done } = await context.client<{ snapshot: string } | Kept>({ method: 'POST', path: '/api/v1/policy/apply', body })
    context.output.result(done, isKept(done) ? keptLines(done) : [`in force: ${done.snapshot}`])
    return isKept(done) ? 1 : 0
  },
}

export const policyRollback: Command = {
  usage: 'policy rollback <id> --to version --comment text',
  summary: 'put an earlier version of a policy in force again, as a new version',
  arguments: [1, 1],
  options: {
    to: { type: 'string', value: 'version', describe: 'as `GET /api/v1/policy/<id>` lists them' },
    comment: { type: 'string', value: 'text', describe: 'why; it is recorded' },
  },
  run: async (context) => {
    const [id = ''] = context.positionals
    const [to = '', comment] = [text(context, 'to'), text(context, 'comment')]
    if (!/^[1-9]\d{0,8}$/.test(to)) throw new Usage('name the version to go back to: --to 3')
    if (comment === undefined) throw new Usage('say why: --comment "…"')
    const path = `/api/v1/policy/${encodeURIComponent(id)}`
    const { body: seen } = await context.client<{ version: number }>({ method: 'GET', path })
    const { body } = await context.client<{ version: number; changed: boolean } | Kept>({ method: 'POST', path: `${path}/rollback`, body: { to: Number(to), version: seen.version, comment } })
    if (isKept(body)) {
      context.output.result(body, keptLines(body))
      return 1
    }
    context.output.result(body, [body.changed ? `${id} is at version ${body.version}, with the content of ${to}` : `${id} has that content already`])
    return 0
  },
}
