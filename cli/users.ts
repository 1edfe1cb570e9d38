import { text, type Command, type Context } from './command.ts'
import { Refused, Usage } from './connection.ts'
import { bindingText } from './login.ts'
import { table } from './output.ts'
import { askSecret } from './secret.ts'

type Binding = { role: string; cluster: string | null; namespace: string | null }
type User = { userId: string; username: string; displayName: string; state: string; bindings: Binding[]; groups: string[]; hasPassword: boolean }

const path = '/api/v1/users'
const rolesOption = { roles: { type: 'string', value: 'list', describe: '`approver@main/shop,user`: a role alone holds everywhere, `*/shop` in that namespace of every cluster' } } as const

/** The API says what is wrong with names; here only the form is read. */
function bindingsOf(list: string): Binding[] {
  return list.split(',').map((part) => part.trim()).filter(Boolean).map((part) => {
    const [role = '', place] = part.split('@')
    const [cluster = '*', namespace = '*'] = (place ?? '').split('/')
    return { role, cluster: place === undefined || cluster === '*' ? null : cluster, namespace: namespace === '*' ? null : namespace }
  })
}

async function idOf({ client, positionals: [name = ''] }: Context): Promise<string> {
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body }: { body: { items: User[]; next: string | null } } = await client({ method: 'GET', path, query: { limit: '200', ...(cursor === '' ? {} : { cursor }) } })
    const found = body.items.find(({ username, userId }) => username === name.toLowerCase() || userId === name)
    if (found) return found.userId
    cursor = body.next
  }
  throw new Refused(`there is no account \`${name}\``, '`aegis user list` lists them')
}

export const userCreate: Command = {
  usage: 'user create <name> [--roles list] [--display text]',
  summary: 'make an account; prints a one-time token with which the person sets a password',
  arguments: [1, 1],
  options: { ...rolesOption, display: { type: 'string', value: 'text', describe: 'the name for people' } },
  run: async (context) => {
    const display = text(context, 'display')
    const body = { username: context.positionals[0], bindings: bindingsOf(text(context, 'roles') ?? ''), ...(display === undefined ? {} : { displayName: display }) }
    return issued(context, (await context.client<User & { oneTimeToken: string }>({ method: 'POST', path, body })).body)
  },
}

function issued({ output }: Context, user: User & { oneTimeToken: string }): number {
  output.result(user, [user.oneTimeToken])
  output.note(`shown this once, good for one use within 24 hours: \`aegis user password\` sets the password of ${user.username} with it`)
  return 0
}

export const userList: Command = {
  usage: 'user list',
  summary: 'all accounts',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body } = await client<{ items: User[] }>({ method: 'GET', path, query: { limit: '200' } })
    output.result(body, table(['ID', 'NAME', 'STATE', 'ROLES', 'GROUPS'], body.items.map(({ userId, username, state, bindings, groups }) => [userId, username, state, bindings.map(bindingText).join(','), groups.join(',')])))
    return 0
  },
}

export const userRoles: Command = {
  usage: 'user roles <name> --roles list',
  summary: 'replace what an account may do; in force within 5 s',
  arguments: [1, 1],
  options: rolesOption,
  run: async (context) => {
    const roles = text(context, 'roles')
    if (roles === undefined) throw new Usage('name the roles with --roles; `--roles ""` takes all of them')
    const { body } = await context.client<User>({ method: 'PUT', path: `${path}/${await idOf(context)}`, body: { bindings: bindingsOf(roles) } })
    context.output.result(body, [`${body.username}: ${body.bindings.map(bindingText).join(', ') || 'no role'}`])
    return 0
  },
}

const switched = (verb: 'disable' | 'enable', summary: string): Command => ({
  usage: `user ${verb} <name>`,
  summary,
  arguments: [1, 1],
  options: {},
  run: async (context) => {
    const { body } = await context.client<User>({ method: 'POST', path: `${path}/${await idOf(context)}/${verb}` })
    context.output.result(body, [`${body.username}: ${body.state}`])
    return 0
  },
})

export const userDisable = switched('disable', 'shut an account out; its sessions end, its keys are refused')
export const userEnable = switched('enable', 'let an account in again')

export const userReset: Command = {
  usage: 'user reset <name>',
  summary: 'a one-time token to set a new password with',
  arguments: [1, 1],
  options: {},
  run: async (context) => issued(context, (await context.client<User & { oneTimeToken: string }>({ method: 'POST', path: `${path}/${await idOf(context)}/reset` })).body),
}

export const userPassword: Command = {
  usage: 'user password --token aegis_once_…',
  summary: 'set a password with a one-time token; asked for or from standard input',
  arguments: [0, 0],
  options: { token: { type: 'string', value: 'token', describe: 'from `aegis user create` or `aegis user reset`' } },
  run: async (context) => {
    const token = text(context, 'token')
    if (!token) throw new Usage('name the one-time token with --token')
    const password = await askSecret('new password: ')
    if (password === '') throw new Usage('no password was given')
    const { body } = await context.client<{ username: string }>({ method: 'POST', path: '/api/v1/auth/reset', body: { token, password } })
    context.output.result(body, [`the password of ${body.username} is set: aegis login --user ${body.username}`])
    return 0
  },
}
