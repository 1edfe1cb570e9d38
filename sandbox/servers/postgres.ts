import { execFile } from 'node:child_process'
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { isTraversable, programs } from '../setup/programs.mjs'
import { markFor, startServer, untilReady, type Account } from '../processes.ts'

export type PostgresServer = {
  /** The database `aegis`, as its owner: for migrations and tests. */
  ownerUrl: string
  /** The same database as one role; `allowLogin` gives roles the password this URL carries. */
  urlFor(role: string): string
  /** Gives roles that migrations made (or creates them) the right to log in by `urlFor`. */
  allowLogin(roles: readonly string[]): Promise<void>
  pid: number
}

export const owner = 'postgres'
const database = 'aegis'
const readyLimitMs = 30_000

export async function startPostgres({ directory, port }: { directory: string; port: number }): Promise<PostgresServer> {
  const account = await unprivilegedAccount()
  const data = dataFolder(directory, account)
  const secret = randomBytes(18).toString('base64url')
  await initialise({ directory, data, password: secret, account })
  const server = startServer({
    directory,
    command: join(programs().postgres, 'bin/postgres'),
    args: ['-D', data, '-p', `${port}`, ...settings],
    log: join(directory, 'logs/postgres.log'),
    account,
  })
  const maintenanceUrl = `postgresql://${owner}:${secret}@127.0.0.1:${port}/postgres`
  await untilReady('PostgreSQL', server, () => query(maintenanceUrl, 'select 1').then(() => true), readyLimitMs)
  await query(maintenanceUrl, `create database ${database}`)
  return { ...loginsOf(inDatabase(maintenanceUrl, database)), pid: server.pid }
}

/** The same server, another database. */
export const inDatabase = (url: string, name: string): string => {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

/** How roles log in to a database of the sandbox, known from its owner's URL alone. */
export function loginsOf(ownerUrl: string): Omit<PostgresServer, 'pid'> {
  const { username, password } = new URL(ownerUrl)
  const passwordOf = (role: string) => createHmac('sha256', password).update(role).digest('base64url')
  const urlFor = (role: string) => {
    const url = new URL(ownerUrl)
    if (role !== username) Object.assign(url, { username: role, password: passwordOf(role) })
    return url.href
  }
  const allowLogin = (roles: readonly string[]) =>
    query(ownerUrl, roles.map((role) => loginFor(role, passwordOf(role))).join(';\n'))
  return { ownerUrl, urlFor, allowLogin }
}

const settings = [
  ...['-c', 'listen_addresses=127.0.0.1'],
  ...['-c', 'unix_socket_directories='], // a socket path inside a deep checkout would be too long
  ...['-c', 'max_connections=300'],
  ...['-c', 'fsync=on'],
  ...['-c', 'timezone=UTC'],
  ...['-c', 'log_timezone=UTC'],
]

type Initialise = { directory: string; data: string; password: string; account: Account | undefined }

async function initialise({ directory, data, password, account }: Initialise): Promise<void> {
  rmSync(data, { recursive: true, force: true })
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const passwordFile = `${data}.password`
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account) for (const path of [data, passwordFile]) chownSync(path, account.uid, account.gid)
  try {
    await promisify(execFile)(
      join(programs().postgres, 'bin/initdb'),
      [
        ...['--pgdata', data, '--username', owner, '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
        ...['--encoding', 'UTF8', '--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'],
      ],
      { cwd: '/', env: { ...process.env, ...markFor(directory) }, timeout: readyLimitMs, ...account },
    )
  } finally {
    rmSync(passwordFile, { force: true })
  }
}

/** Data that had to lie outside the directory goes with its stack; nobody would find it. */
export async function removeOutsideData(directory: string): Promise<void> {
  const data = dataFolder(directory, await unprivilegedAccount())
  if (dirname(data) !== directory) rmSync(data, { recursive: true, force: true })
}

/** Where the data lies. PostgreSQL runs under another account than root, which a checkout in /root would lock out. */
export function dataFolder(directory: string, account: Account | undefined): string {
  if (!account || isTraversable(directory)) return join(directory, 'postgres')
  const key = createHash('sha256').update(directory).digest('hex').slice(0, 12)
  return join(existsSync('/var/tmp') ? '/var/tmp' : tmpdir(), `aegis-postgres-${key}`)
}

/** PostgreSQL refuses to run as root: the account it runs as instead, already on every system. */
export async function unprivilegedAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  return (await accountOf('postgres')) ?? (await accountOf('nobody')) ?? { uid: 65534, gid: 65534 }
}

async function accountOf(name: string): Promise<Account | undefined> {
  const id = (flag: string) => promisify(execFile)('id', [flag, name]).then(({ stdout }) => Number(stdout))
  try {
    return { uid: await id('-u'), gid: await id('-g') }
  } catch {
    return undefined
  }
}

const loginFor = (role: string, password: string) => {
  const name = pg.escapeIdentifier(role)
  return `do $$ begin create role ${name}; exception when duplicate_object then null; end $$;
    alter role ${name} login password ${pg.escapeLiteral(password)}`
}

export async function query(connectionString: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2_000 })
  client.on('error', () => undefined) // the query itself reports it
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
