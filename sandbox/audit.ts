/** Reading the judge: the API server's audit log, which Aegis does not write. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** One line of the audit log, as far as anyone looks at it. */
export type AuditEvent = {
  auditID: string
  stage: string
  level: string
  verb: string
  requestURI: string
  userAgent?: string
  user: { username: string; groups?: string[] }
  objectRef?: { resource: string; subresource?: string; namespace?: string; name?: string; apiGroup?: string; uid?: string }
  responseStatus?: { code?: number; reason?: string }
  requestObject?: Record<string, unknown>
  responseObject?: Record<string, unknown>
  requestReceivedTimestamp: string
  stageTimestamp: string
}

/** The audit log so far, oldest first. */
export const auditEvents = ({ auditLog }: { auditLog: string }, predicate: (event: AuditEvent) => boolean = () => true): AuditEvent[] =>
  readOn(auditLog).filter(predicate)

type Progress = { events: AuditEvent[]; offset: number; rest: Buffer }

/** The log only grows, and tests ask often while it does: each line is read and parsed once. */
const progressOf = new Map<string, Progress>()

function readOn(path: string): AuditEvent[] {
  const progress = progressOf.get(path) ?? { events: [], offset: 0, rest: Buffer.alloc(0) }
  progressOf.set(path, progress)
  const added = bytesFrom(path, progress.offset)
  const bytes = Buffer.concat([progress.rest, added])
  const end = bytes.lastIndexOf('\n') + 1 // the last line may still be being written
  const lines = bytes.subarray(0, end).toString('utf8').split('\n').filter((line) => line !== '')
  progress.events.push(...lines.map((line) => JSON.parse(line) as AuditEvent))
  progress.offset += added.length
  progress.rest = bytes.subarray(end)
  return progress.events
}

function bytesFrom(path: string, offset: number): Buffer {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - offset))
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, offset))
  } finally {
    closeSync(file)
  }
}

export type MutationFilter = { userAgentPrefix: string; namespace?: string }

/** What a client really changed: its writes that succeeded and were no dry run, each once. */
export function mutationsBy(cluster: { auditLog: string }, { userAgentPrefix, namespace }: MutationFilter): AuditEvent[] {
  return auditEvents(
    cluster,
    (event) =>
      (event.userAgent ?? '').startsWith(userAgentPrefix) &&
      (namespace === undefined || event.objectRef?.namespace === namespace) &&
      isEffective(event),
  )
}

const writes = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])
const questions = new Set(['authorization.k8s.io', 'authentication.k8s.io']) // created, but nothing is stored

const isEffective = (event: AuditEvent): boolean =>
  event.stage === 'ResponseComplete' &&
  writes.has(event.verb) &&
  !questions.has(event.objectRef?.apiGroup ?? '') &&
  Math.floor((event.responseStatus?.code ?? 0) / 100) === 2 &&
  !isDryRun(event)

/** In the address, or hidden in the options inside the body, which the API server honours as well. */
function isDryRun({ requestURI, requestObject }: AuditEvent): boolean {
  const { dryRun, deleteOptions } = (requestObject ?? {}) as { dryRun?: string[]; deleteOptions?: { dryRun?: string[] } }
  const asked = new URL(requestURI, 'https://cluster').searchParams.getAll('dryRun')
  return [...asked, ...(dryRun ?? []), ...(deleteOptions?.dryRun ?? [])].some((value) => value === 'All')
}
