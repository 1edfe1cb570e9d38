import { text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type Key = { keyId: string; name: string; prefix: string; roles: string[]; owner: string; expiresAt: string | null; revokedAt: string | null }

const path = '/api/v1/keys'

export const keyCreate: Command = {
  usage: 'key create --name text --owner person --roles role,role [--namespace cluster/namespace,…] [--days n]',
  summary: 'make an API key; it is shown this once',
  arguments: [0, 0],
  options: {
    name: { type: 'string', value: 'text', describe: 'what it is for' },
    owner: { type: 'string', value: 'person', describe: 'who stands behind it: four-eyes compares owners' },
    roles: { type: 'string', value: 'list', describe: 'admin, user, approver, auditor, service' },
    namespace: { type: 'string', value: 'list', describe: 'where the roles hold, such as main/shop or shop (in every cluster); everywhere without it' },
    days: { type: 'string', value: 'n', describe: 'how long it is good for (90)' },
  },
  run: async (context) => {
    const [name, owner, roles, days] = ['name', 'owner', 'roles', 'days'].map((option) => text(context, option))
    if (!name || !owner || !roles) throw new Usage('a key needs --name, --owner and --roles')
    if (days !== undefined && !/^\d{1,4}$/.test(days)) throw new Usage(`--days must be a whole number, not \`${days}\``)
    const asked = { name, owner, roles: roles.split(',').map((role) => role.trim()), ...placesOf(text(context, 'namespace')), ...(days === undefined ? {} : { expiresInDays: Number(days) }) }
    const { body } = await context.client<Key & { key: string }>({ method: 'POST', path, body: asked })
    context.output.result(body, [body.key])
    context.output.note(`shown this once; id ${body.keyId}, roles ${body.roles.join(', ')}, good until ${body.expiresAt}`)
    return 0
  },
}

function placesOf(given: string | undefined): { namespaces?: { cluster?: string; namespace: string }[] } {
  if (given === undefined) return {}
  const namespaces = given.split(',').map((part) => {
    const [namespace = '', cluster] = part.trim().split('/').reverse()
    return cluster === undefined ? { namespace } : { cluster, namespace }
  })
  return { namespaces }
}

export const keyList: Command = {
  usage: 'key list',
  summary: 'all API keys, by prefix',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body } = await client<{ items: Key[] }>({ method: 'GET', path })
    const rows = body.items.map((key) => [key.keyId, key.prefix, key.name, key.owner, key.roles.join(','), key.revokedAt ? `revoked ${key.revokedAt}` : (key.expiresAt ?? 'never')])
    output.result(body, table(['ID', 'PREFIX', 'NAME', 'OWNER', 'ROLES', 'EXPIRES'], rows))
    return 0
  },
}

export const keyRevoke: Command = {
  usage: 'key revoke <key id>',
  summary: 'revoke a key; its next call is refused',
  arguments: [1, 1],
  options: {},
  run: async ({ client, output, positionals: [id = ''] }) => {
    const { body } = await client<{ revoked: true }>({ method: 'DELETE', path: `${path}/${encodeURIComponent(id)}` })
    output.result(body, ['revoked'])
    return 0
  },
}
