import type { Command } from './command.ts'
import { Refused, type Client } from './connection.ts'
import { clustersText, freezePath, keptLine, type Freezes } from './stopping.ts'

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
    const { body: freezes } = await client<Freezes>({ method: 'GET', path: freezePath })
    const { body: open } = await client<{ items: { phase: string }[]; next: string | null }>({ method: 'GET', path: '/api/v1/remediations', query: { status: 'open', limit: '200' } })
    const waiting = open.items.filter(({ phase }) => phase === 'awaiting_approval').length
    output.result({ health, freezes: freezes.items, kept: freezes.kept, open: open.items }, [
      `Aegis ${health.version} at ${connection.url}: ${health.status}`,
      ...parts,
      `  open      ${open.items.length}${open.next ? ' or more' : ''}, of which ${waiting} wait for an approval`,
      `  freezes   ${freezes.items.length}${freezes.items.map((one) => `; ${one.liftedAt === null ? 'frozen' : 'lifted'}: ${clustersText(one)}`).join('')}`,
      ...freezes.kept.map((kept) => `  ${keptLine(kept)}`),
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
