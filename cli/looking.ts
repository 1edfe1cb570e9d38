import { text, type Command, type Context } from './command.ts'
import { Refused, Usage, type Client } from './connection.ts'

type Part = { ok: boolean; reason?: string }
type Health = { status: 'ready' | 'degraded' | 'unavailable'; version: string; database: Part; temporal: Part; decision: Part; execution: Part; policy: Part }

const partNames = ['database', 'temporal', 'decision', 'execution', 'policy'] as const

const healthOf = async (client: Client): Promise<Health> => (await client<Health>({ method: 'GET', path: '/api/v1/health' })).body

const partLine = (name: string, { ok, reason }: Part): string => `  ${name.padEnd(9)} ${ok ? 'ok' : reason}`

export const status: Command = {
  usage: 'status',
  summary: 'whether Aegis can do its work now, what is open and what is frozen',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output, connection }) => {
    const health = await healthOf(client)
    const parts = partNames.map((name) => partLine(name, health[name]))
    if (health.status === 'unavailable') {
      output.result({ health }, [`Aegis ${health.version} at ${connection.url}: unavailable`, ...parts])
      return 1
    }
    const { body: freezes } = await client<{ items: unknown[] }>({ method: 'GET', path: '/api/v1/freeze' })
    const { body: open } = await client<{ items: { phase: string }[]; next: string | null }>({ method: 'GET', path: '/api/v1/remediations', query: { status: 'open', limit: '200' } })
    const waiting = open.items.filter(({ phase }) => phase === 'awaiting_approval').length
    output.result({ health, freezes: freezes.items, open: open.items }, [
      `Aegis ${health.version} at ${connection.url}: ${health.status}`,
      ...parts,
      `  open      ${open.items.length}${open.next ? ' or more' : ''}, of which ${waiting} wait for an approval`,
      `  freezes   ${freezes.items.length}`,
    ])
    return health.status === 'ready' ? 0 : 1
  },
}

type Checked = { check: string; ok: boolean; message: string }

export const doctor: Command = {
  usage: 'doctor',
  summary: 'look step by step: the API answers, the key is good, the database is ready, Temporal answers, workers ask for work, policies are fresh',
  arguments: [0, 0],
  options: {},
  run: async ({ client, output, connection }) => {
    const checks = await examine(client, connection.url)
    output.result({ checks }, checks.map(({ check, ok, message }) => `${ok ? 'ok  ' : 'FAIL'} ${check}: ${message}`))
    return checks.every(({ ok }) => ok) ? 0 : 1
  },
}

async function examine(client: Client, url: string): Promise<Checked[]> {
  const reached = await attempt('API', async () => {
    await client({ method: 'GET', path: '/api/v1/health/ping' })
    return `${url} answers`
  })
  if (!reached.ok) return [reached]
  const key = await attempt('key', async () => {
    await client({ method: 'GET', path: '/api/v1/freeze' })
    return 'it is known'
  })
  const health = await healthOf(client)
  const part = (check: string, { ok, reason }: Part): Checked => ({ check, ok, message: ok ? 'ok' : (reason ?? 'it does not answer') })
  return [reached, key, ...partNames.map((name) => part(name, health[name]))]
}

async function attempt(check: string, trying: () => Promise<string>): Promise<Checked> {
  try {
    return { check, ok: true, message: await trying() }
  } catch (failure) {
    if (!(failure instanceof Refused)) throw failure
    return { check, ok: false, message: `${failure.message}; ${failure.nextStep}` }
  }
}

type Explained = { allowed: boolean; effect: string; code: string; reason: string; message: string; decision: Record<string, unknown> | null }

export const policyExplain: Command = {
  usage: 'policy explain <action> <resource> [--type self_healing] [--context json] [--request json] [--target json]',
  summary: 'what policy says to a request of yours, and why; nothing is started',
  arguments: [2, 2],
  options: {
    type: { type: 'string', value: 'word', describe: 'self_healing or api_access' },
    context: { type: 'string', value: 'json', describe: 'facts such as {"severity": "high"}' },
    request: { type: 'string', value: 'json', describe: 'what is asked for, such as {"replicas": 6}' },
    target: { type: 'string', value: 'json', describe: 'the target as it would be found, such as {"ready": 3}' },
  },
  run: async (context) => {
    const [action, resource] = context.positionals
    const type = text(context, 'type')
    const asked = { action, resource, ...(type === undefined ? {} : { type }), ...facts(context, 'context'), ...facts(context, 'request'), ...facts(context, 'target') }
    const { body } = await context.client<Explained>({ method: 'POST', path: '/api/v1/policy/evaluate', body: asked })
    context.output.result(body, explanation(body))
    return body.effect === 'deny' ? 1 : 0
  },
}

function facts(context: Context, name: string): Record<string, unknown> {
  const given = text(context, name)
  if (given === undefined) return {}
  try {
    return { [name]: JSON.parse(given) as unknown }
  } catch {
    throw new Usage(`--${name} is not JSON: write something like '{"severity": "high"}'`)
  }
}

type Named = { id: string; effect?: string; failed?: { path?: string; actual?: unknown; expected?: unknown }[] }

function explanation({ effect, code, message, decision }: Explained): string[] {
  const named = (key: string) => (decision?.[key] ?? []) as Named[]
  return [
    `${effect} (${code}): ${message}`,
    ...named('determining').map(({ id, effect: its }) => `  because of  ${id} (${its})`),
    ...named('nearMisses').flatMap(({ id, failed = [] }) =>
      failed.map(({ path, actual, expected }) => `  near miss   ${id}: ${path} is ${JSON.stringify(actual)}, wanted ${JSON.stringify(expected)}`),
    ),
    ...named('breaches').map((breach) => `  bound       ${(breach as unknown as { message: string }).message}`),
  ]
}
