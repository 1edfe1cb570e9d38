/**
 * The judge of every fault test: the API server's audit log, which Aegis does not write, and the rows in PostgreSQL,
 * read as their owner. What Aegis's own API says counts for nothing here.
 */
import pg from 'pg'
import type { Outcome, Verdict } from '../../domain/remediation.ts'
import { auditEvents, mutationsBy, type AuditEvent } from '../../sandbox/audit.ts'
import { eventually, type FreshDatabase, type TestCluster } from './stack.ts'

export type Terminal = { outcome: Outcome; reason: string; verdict: Verdict | null; source: string; message: string }
export type IntentRow = { phase: 'act' | 'undo'; state: string; attempts: number; result: string | null; recorded_at: Date; sent_at: Date | null }

export type Judge = ReturnType<typeof judgeOver>

const executor = 'aegis-executor/'

export function openJudge(cluster: TestCluster, { ownerUrl }: Pick<FreshDatabase, 'ownerUrl'>): Judge {
  const pool = new pg.Pool({ connectionString: ownerUrl, application_name: 'judge', max: 4 })
  pool.on('error', () => undefined)
  return judgeOver(cluster, pool)
}

function judgeOver(cluster: TestCluster, pool: pg.Pool) {
  const rows = async <Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> => (await pool.query<Row>(sql, values)).rows
  const terminals = (id: string) => rows<Terminal>('select outcome, reason, verdict, source, message from ledger.terminal where id = $1', [id])

  /** Each spec that was changed and each pod whose end was begun, by this remediation. Stamps alone are no effect. */
  const effects = (namespace: string): AuditEvent[] => mutationsBy(cluster, { userAgentPrefix: executor, namespace }).filter(changesMoreThanStamps)

  return {
    rows,
    terminals,
    intents: (id: string) => rows<IntentRow>('select phase, state, attempts, result, recorded_at, sent_at from ledger.intent where id = $1 order by phase', [id]),
    effects,
    effectsOf: (id: string, namespace: string) => effects(namespace).filter((event) => names(event, id)),
    stamps: (namespace: string): AuditEvent[] => mutationsBy(cluster, { userAgentPrefix: executor, namespace }).filter((event) => !changesMoreThanStamps(event)),
    /** Every write under the executor's User-Agent that was really meant, whatever the server said to it. */
    attempts: (namespace: string): AuditEvent[] =>
      auditEvents(cluster, (event) => (event.userAgent ?? '').startsWith(executor) && event.objectRef?.namespace === namespace && isMeant(event)),

    closed: (id: string, limitMs = 60_000): Promise<Terminal> =>
      eventually(`${id} has its terminal row`, async () => (await terminals(id))[0], limitMs),

    /** I3: one terminal row, and a stream without a gap from `requested` to `closed`. Throws what is wrong. */
    async ledgerIsWhole(id: string): Promise<void> {
      const found = await terminals(id)
      if (found.length !== 1) throw new Error(`${id} has ${found.length} terminal rows`)
      const stream = await rows<{ seq: number; kind: string; prev: string | null }>(
        `select seq, kind, (entry::jsonb) ->> 'prev' as prev from ledger.audit_event where stream = $1 order by seq`,
        [id],
      )
      const gaps = stream.filter(({ seq, prev }, index) => seq !== index + 1 || (prev === null) !== (index === 0))
      if (gaps.length > 0) throw new Error(`the stream of ${id} has a gap at ${gaps[0]?.seq}`)
      const closings = stream.filter(({ kind }) => kind === 'closed').length
      if (stream[0]?.kind !== 'requested' || closings !== 1) throw new Error(`the stream of ${id} begins with ${stream[0]?.kind} and is closed ${closings} times`)
    },

    /** I2: no effect without an intent that was committed before. Throws what is wrong. */
    async intentsCameFirst(id: string, namespace: string): Promise<void> {
      const intents = await rows<{ recorded_at: Date }>('select recorded_at from ledger.intent where id = $1 order by recorded_at', [id])
      for (const { requestReceivedTimestamp, auditID } of effects(namespace).filter((event) => names(event, id))) {
        const before = intents.some(({ recorded_at: at }) => at.getTime() <= Date.parse(requestReceivedTimestamp))
        if (!before) throw new Error(`the effect ${auditID} of ${id} came before its intent`)
      }
    },
    close: () => pool.end(),
  }
}

const names = ({ requestObject }: AuditEvent, id: string): boolean => JSON.stringify(requestObject ?? {}).includes(id)

const isMeant = ({ verb, requestURI, stage, objectRef }: AuditEvent): boolean =>
  stage === 'ResponseComplete' && ['create', 'patch', 'update', 'delete'].includes(verb) && !/[?&]dryRun=/.test(requestURI) && objectRef?.apiGroup !== 'authorization.k8s.io'

/** An eviction, a merge patch with a `spec`, a JSON patch below `/spec`. */
function changesMoreThanStamps({ objectRef, requestObject }: AuditEvent): boolean {
  if (objectRef?.subresource === 'eviction') return true
  const body = requestObject as unknown
  if (Array.isArray(body)) return (body as { op: string; path: string }[]).some(({ op, path }) => op !== 'test' && path.startsWith('/spec'))
  return typeof body === 'object' && body !== null && 'spec' in body
}
