/**
 * Stands before PostgreSQL and catches single statements, told apart by their text, their values, who sends them and
 * what else their transaction did: a commit matters for what it commits.
 */
import type { Socket } from 'node:net'
import {
  boundName, boundValues, isEncryptionRequest, messageReader, parsedStatement, simpleQuerySql, startupParameters, type Message,
} from './postgres-wire.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'
import { trapSet, withResolvers, type Act, type Phase, type Trap } from './traps.ts'

export type Statement = {
  /** The `application_name` of the connection. */
  application: string
  sql: string
  values: string[]
  /** What came before in the same transaction; empty outside one. */
  before: readonly Statement[]
}

export type StatementRule = {
  application?: RegExp
  sql?: RegExp
  /** Each matches one of the statement's values. */
  values?: readonly RegExp[]
  /** The commit of a transaction with a statement like this. */
  commitOf?: { sql?: RegExp; values?: readonly RegExp[] }
  nth?: number
  phase: Phase
}

export type PostgresProxy = TcpProxy & {
  arm(rule: StatementRule, act?: Act<Statement>): Trap<Statement>
  once(rule: StatementRule, act?: Act<Statement>): Promise<Statement>
  disarmAll(): void
}

type Traps = ReturnType<typeof trapSet<Statement>>

export async function startPostgresProxy({ to }: { to: string }): Promise<PostgresProxy> {
  const traps = trapSet<Statement>()
  const proxy = await startTcpProxy({ to, relay: (client, server) => relay(traps, client, server) })
  const arm: PostgresProxy['arm'] = ({ phase, nth, ...rule }, act) => traps.arm({ phase, nth, act, matches: (statement) => matches(rule, statement) })
  return { ...proxy, arm, once: (rule, act) => arm(rule, act).hit, disarmAll: traps.disarmAll }
}

const isCommit = (sql: string) => /^\s*commit/i.test(sql)

export const matches = ({ application, commitOf, ...rule }: Omit<StatementRule, 'phase' | 'nth'>, statement: Statement): boolean =>
  (application?.test(statement.application) ?? true) &&
  says(statement, rule) &&
  (commitOf === undefined || (isCommit(statement.sql) && statement.before.some((each) => says(each, commitOf))))

const says = (statement: Statement, { sql, values = [] }: Pick<StatementRule, 'sql' | 'values'>): boolean =>
  (sql?.test(statement.sql) ?? true) && values.every((value) => statement.values.some((each) => value.test(each)))

/** One connection. The client sends its next statement only when the server is ready for it, so one waits at a time. */
function relay(traps: Traps, client: Socket, server: Socket): void {
  const read = messageReader({ startsWithout: 'type' })
  const answers = answersOf(client, server)
  const prepared = new Map<string, string>()
  let application = ''
  let transaction: Statement[] | undefined
  let unit: Message[] = []
  let turn: Promise<void> = Promise.resolve()

  async function serve(messages: Message[]): Promise<void> {
    const statement: Statement = { application, ...statementOf(messages, prepared), before: transaction ?? [] }
    if (/^\s*begin/i.test(statement.sql)) transaction = []
    else if (/^\s*(commit|rollback)/i.test(statement.sql)) transaction = undefined
    else transaction?.push(statement)
    const sprung = traps.claim(statement)
    const cut = () => void [client, server].forEach((socket) => socket.destroy())
    if ((await sprung.serve('before_send')) === 'cut') return cut()
    const answered = answers.next({ hold: sprung.waits('after_send', 'after_reply') })
    server.write(Buffer.concat(messages.map(({ raw }) => raw)))
    await answered
    if ((await sprung.serve('after_send')) === 'cut') return cut()
    await answers.release()
    if ((await sprung.serve('after_reply')) === 'cut') return cut()
  }

  client.on('data', (chunk) => {
    for (const message of read(chunk)) {
      if (message.type === '' && isEncryptionRequest(message.payload)) client.write('N')
      else if (message.type === '') {
        application = startupParameters(message.payload)['application_name'] ?? ''
        server.write(message.raw)
      } else if ('QPBDECS'.includes(message.type)) {
        unit.push(message)
        if (!'QS'.includes(message.type)) continue
        const whole = unit
        unit = []
        turn = turn.then(() => serve(whole))
      } else server.write(message.raw)
    }
  })
}

/** `prepared` keeps the text of named statements, by name, for the calls that no longer bring it along. */
function statementOf(messages: Message[], prepared: Map<string, string>): Pick<Statement, 'sql' | 'values'> {
  const [query, parse, bind] = ['Q', 'P', 'B'].map((type) => messages.find((message) => message.type === type)?.payload)
  if (query) return { sql: simpleQuerySql(query), values: [] }
  const parsed = parse && parsedStatement(parse)
  if (parsed) prepared.set(parsed.name, parsed.sql)
  const sql = parsed?.sql ?? (bind && prepared.get(boundName(bind))) ?? ''
  return { sql, values: bind ? boundValues(bind) : [] }
}

/** The way back. Answers pass as they come, or are held until ReadyForQuery is among them and `release` is called. */
function answersOf(client: Socket, server: Socket) {
  const read = messageReader({ startsWithout: 'nothing' })
  let held: Buffer[] | undefined
  let ready = withResolvers<void>()
  const toClient = (bytes: Buffer) => new Promise<void>((resolve) => {
    if (client.destroyed) return resolve()
    client.once('close', resolve)
    client.write(bytes, () => {
      client.removeListener('close', resolve)
      resolve()
    })
  })
  server.on('data', (chunk) => {
    const messages = read(chunk)
    if (held) held.push(...messages.map(({ raw }) => raw))
    else if (messages.length > 0) void toClient(Buffer.concat(messages.map(({ raw }) => raw)))
    if (messages.some(({ type }) => type === 'Z')) ready.resolve()
  })
  server.once('close', () => ready.resolve())
  return {
    next({ hold }: { hold: boolean }): Promise<void> {
      if (hold) held = []
      ready = withResolvers<void>()
      return ready.promise
    },
    async release(): Promise<void> {
      const bytes = held
      held = undefined
      if (bytes) await toClient(Buffer.concat(bytes))
    },
  }
}
