import { closeSync, openSync, readSync } from 'node:fs'
import type { AuditEvent } from '../sandbox/audit.ts'
import { parseStamps, stampAnnotation } from '../domain/stamp.ts'

/** One remediation's change, as the API server saw it. Epoch milliseconds. */
export type Mutation = { receivedMs: number; answeredMs: number }

export type Judge = {
  /** The changes so far, by remediation. Throws when a remediation changed something twice. */
  mutations(): ReadonlyMap<string, Mutation>
}

const chunkBytes = 4 * 2 ** 20

/** Reads the audit log as it grows: by the end of a run it is far too long to be read from its start again. */
export function openJudge({ auditLog }: { auditLog: string }): Judge {
  const seen = new Map<string, Mutation>()
  const buffer = Buffer.alloc(chunkBytes)
  let offset = 0
  let rest = Buffer.alloc(0)

  const readOn = () => {
    const file = openSync(auditLog, 'r')
    try {
      for (let read = readSync(file, buffer, 0, chunkBytes, offset); read > 0; read = readSync(file, buffer, 0, chunkBytes, offset)) {
        offset += read
        const text = Buffer.concat([rest, buffer.subarray(0, read)])
        const end = text.lastIndexOf('\n') + 1
        rest = Buffer.from(text.subarray(end)) // a line still being written
        for (const line of text.toString('utf8', 0, end).split('\n')) judgeLine(seen, line)
      }
    } finally {
      closeSync(file)
    }
  }
  return {
    mutations() {
      readOn()
      return seen
    },
  }
}

function judgeLine(seen: Map<string, Mutation>, line: string): void {
  // Nearly all lines are the controllers' own; only a candidate is worth parsing.
  if (!line.includes('aegis-executor/') || !line.includes('"verb":"patch"')) return
  const event = JSON.parse(line) as AuditEvent
  if (event.stage !== 'ResponseComplete' || event.responseStatus?.code !== 200 || event.requestURI.includes('dryRun=All')) return
  const { metadata } = (event.requestObject ?? {}) as { metadata?: { annotations?: Record<string, string> } }
  const stamp = parseStamps(metadata?.annotations?.[stampAnnotation]).at(-1)
  if (stamp?.phase !== 'applied') return
  if (seen.has(stamp.id)) throw new Error(`remediation ${stamp.id} changed its target twice: see the audit log`)
  seen.set(stamp.id, { receivedMs: Date.parse(event.requestReceivedTimestamp), answeredMs: Date.parse(event.stageTimestamp) })
}
