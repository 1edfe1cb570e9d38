import { readFileSync } from 'node:fs'
import { flag, text, type Command, type Context } from './command.ts'
import { Usage } from './connection.ts'
import { table } from './output.ts'

type Key = {
  keyId: string
  caller: string
  owner: string
  algorithm: string
  actions: string[]
  namespaces: string[]
  maxReplicas: number
  audiences: string[]
  state: string
  retiresAt: string | null
}

const path = '/api/v1/caller-keys'
const words = (given: string): string[] => given.split(',').map((word) => word.trim())

export const callerCreate: Command = {
  usage: 'caller create --caller name --owner person --actions list --namespaces list [--max-replicas n] [--roles list] [--audiences list] [--public-key file] [--activate]',
  summary: 'make a key for a caller that signs its requests; a secret is shown this once',
  arguments: [0, 0],
  options: {
    caller: { type: 'string', value: 'name', describe: 'whose key it is; all keys of one caller have one name' },
    owner: { type: 'string', value: 'person', describe: 'who stands behind it: four-eyes compares owners' },
    actions: { type: 'string', value: 'list', describe: 'restart_pod, scale_deployment, rollback_deployment' },
    namespaces: { type: 'string', value: 'list', describe: 'shop, main/shop, team-*' },
    'max-replicas': { type: 'string', value: 'n', describe: 'as many as it may ask for (0)' },
    roles: { type: 'string', value: 'list', describe: 'what its requests count as to policies (service)' },
    audiences: { type: 'string', value: 'list', describe: 'the installations it is good for (this one)' },
    'public-key': { type: 'string', value: 'file', describe: 'Ed25519, PEM: then no secret is made' },
    activate: { type: 'boolean', describe: 'in use at once' },
  },
  run: async (context) => {
    const [caller, owner, actions, namespaces] = ['caller', 'owner', 'actions', 'namespaces'].map((option) => text(context, option))
    if (!caller || !owner || !actions || !namespaces) throw new Usage('a caller key needs --caller, --owner, --actions and --namespaces')
    const [roles, audiences, maxReplicas, publicKey] = [text(context, 'roles'), text(context, 'audiences'), wholeNumber(context, 'max-replicas'), text(context, 'public-key')]
    const asked = {
      ...{ caller, owner, actions: words(actions), namespaces: words(namespaces) },
      ...(maxReplicas === undefined ? {} : { maxReplicas }),
      ...(roles === undefined ? {} : { roles: words(roles) }),
      ...(audiences === undefined ? {} : { audiences: words(audiences) }),
      ...(publicKey === undefined ? {} : { publicKey: readText(publicKey) }),
    }
    const { body } = await context.client<Key & { secret: string | null }>({ method: 'POST', path, body: asked })
    const key = flag(context, 'activate') ? (await change(context, body.keyId, 'activate')).body : body
    context.output.result({ ...body, ...key }, [body.keyId, ...(body.secret === null ? [] : [body.secret])])
    context.output.note(`${body.secret === null ? 'the key id' : 'the key id, and the secret, which is shown this once'}; ${key.state}`)
    return 0
  },
}

export const callerList: Command = {
  usage: 'caller list',
  summary: 'all keys of callers, with their bounds and states',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body } = await client<{ items: Key[] }>({ method: 'GET', path })
    const rows = body.items.map((key) => [key.keyId, key.caller, key.owner, stateOf(key), key.algorithm, key.actions.join(','), key.namespaces.join(','), String(key.maxReplicas), key.audiences.join(',')])
    output.result(body, table(['ID', 'CALLER', 'OWNER', 'STATE', 'ALGORITHM', 'ACTIONS', 'NAMESPACES', 'REPLICAS', 'AUDIENCES'], rows))
    return 0
  },
}

const stateOf = ({ state, retiresAt }: Key): string => (state === 'retiring' ? `retiring until ${retiresAt}` : state)

export const callerActivate: Command = {
  usage: 'caller activate <key id>',
  summary: 'take signatures of a pending caller key from now on',
  arguments: [1, 1],
  options: {},
  run: (context) => changed(context, 'activate'),
}

export const callerRetire: Command = {
  usage: 'caller retire <key id> [--overlap seconds]',
  summary: 'let a caller key run out while its caller changes over to the next one',
  arguments: [1, 1],
  options: { overlap: { type: 'string', value: 'seconds', describe: 'how much longer it is good for (86400)' } },
  run: (context) => {
    const overlapSeconds = wholeNumber(context, 'overlap')
    return changed(context, 'retire', overlapSeconds === undefined ? {} : { overlapSeconds })
  },
}

export const callerRevoke: Command = {
  usage: 'caller revoke <key id>',
  summary: 'revoke a caller key; its next call is refused',
  arguments: [1, 1],
  options: {},
  run: (context) => changed(context, 'revoke'),
}

const change = ({ client }: Context, keyId: string, what: string, body: object = {}) =>
  client<Key>({ method: 'POST', path: `${path}/${encodeURIComponent(keyId)}/${what}`, body })

async function changed(context: Context, what: string, asked: object = {}): Promise<number> {
  const { body } = await change(context, context.positionals[0] ?? '', what, asked)
  context.output.result(body, [stateOf(body)])
  return 0
}

function wholeNumber(context: Context, option: string): number | undefined {
  const given = text(context, option)
  if (given === undefined) return undefined
  if (!/^\d{1,6}$/.test(given)) throw new Usage(`--${option} must be a whole number, not \`${given}\``)
  return Number(given)
}

export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (failure) {
    throw new Usage(`\`${file}\` cannot be read (${(failure as NodeJS.ErrnoException).code})`)
  }
}
