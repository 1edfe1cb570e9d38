import { text, type Command } from './command.ts'
import { loginOf, Refused, Usage, type SessionAnswer } from './connection.ts'
import { askSecret } from './secret.ts'

export const login: Command = {
  usage: 'login --user name',
  summary: 'log in with a password, asked for or from standard input; also what `step_up_required` asks for',
  arguments: [0, 0],
  options: { user: { type: 'string', short: 'u', value: 'name', describe: 'whose account' } },
  run: async (context) => {
    const { client, connection, output } = context
    const username = text(context, 'user')
    if (!username) throw new Usage('a login needs --user')
    const password = await askSecret(`password of ${username}: `)
    if (password === '') throw new Usage('no password was given')
    const device = connection.logins.device(connection.url)
    const known = device === '' ? {} : { deviceToken: device }
    const { body } = await client<SessionAnswer>({ method: 'POST', path: '/api/v1/auth/login', body: { username, password, session: 'token', ...known } })
    connection.logins.write(connection.url, loginOf(body))
    output.result({ username, url: connection.url }, [`logged in to ${connection.url} as ${username}`])
    return 0
  },
}

export const logout: Command = {
  usage: 'logout',
  summary: 'end the session here; its access token is refused within 5 s',
  arguments: [0, 0],
  options: {},
  run: async ({ client, connection, output }) => {
    const { logins, url } = connection
    const mine = logins.read(url)
    if (!mine) throw new Refused(`nobody is logged in to ${url} here`, 'log in: `aegis login --user name`')
    const { refreshToken, deviceToken } = mine
    const { body } = await client<{ ended: boolean }>({ method: 'POST', path: '/api/v1/auth/logout', body: { refreshToken, deviceToken } })
    logins.forget(url)
    output.result(body, [body.ended ? 'logged out' : 'the session had ended already'])
    return 0
  },
}

type Me = { id: string; kind: string; owner: string; bindings: { role: string; cluster: string | null; namespace: string | null }[]; groups: string[] }

export const whoami: Command = {
  usage: 'whoami',
  summary: 'who you are, and what you may do where',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output }) => {
    const { body } = await client<Me>({ method: 'GET', path: '/api/v1/auth/me' })
    const roles = body.bindings.map(bindingText)
    output.result(body, [`${body.owner} (${body.kind} ${body.id})`, `roles   ${roles.join(', ') || 'none'}`, ...(body.groups.length > 0 ? [`groups  ${body.groups.join(', ')}`] : [])])
    return 0
  },
}

export const bindingText = ({ role, cluster, namespace }: Me['bindings'][number]): string => {
  if (cluster === null && namespace === null) return role
  return namespace === null ? `${role}@${cluster}` : `${role}@${cluster ?? '*'}/${namespace}`
}
