import { afterEach, expect, test } from '@jest/globals'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stampAnnotation, type StampPhase } from '../domain/stamp.ts'
import { openJudge } from './judge.ts'

const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

function auditLog(...lines: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'aegis-judge-'))
  folders.push(folder)
  writeFileSync(join(folder, 'audit.log'), lines.join(''))
  return join(folder, 'audit.log')
}

type Told = { id?: string; phase?: StampPhase; query?: string; code?: number; userAgent?: string }

const line = ({ id = 'r1', phase = 'applied', query = '', code = 200, userAgent = 'aegis-executor/0.1.0' }: Told = {}): string =>
  `${JSON.stringify({
    stage: 'ResponseComplete',
    verb: 'patch',
    requestURI: `/apis/apps/v1/namespaces/bench-01/deployments/app-01${query}`,
    userAgent,
    responseStatus: { code },
    requestObject: { metadata: { annotations: { [stampAnnotation]: JSON.stringify([{ id: 'r0', phase: 'applied' }, { id, phase }]) } } },
    requestReceivedTimestamp: '2026-11-21T10:00:00.123456Z',
    stageTimestamp: '2026-11-21T10:00:00.130456Z',
  })}\n`

test('a mutation is told by the stamp it wrote, with the times of the API server', () => {
  const judge = openJudge({ auditLog: auditLog(line()) })
  expect([...judge.mutations()]).toEqual([['r1', { receivedMs: Date.parse('2026-11-21T10:00:00.123Z'), answeredMs: Date.parse('2026-11-21T10:00:00.130Z') }]])
})

test.each([
  ['a dry run', { query: '?dryRun=All' }],
  ['a refused call', { code: 409 }],
  ['a fence', { phase: 'abandoned' }],
  ['an undo', { phase: 'undone' }],
  ['what someone else did', { userAgent: 'kubectl/1.36' }],
] satisfies [string, Told][])('%s is no mutation', (_what, told) => {
  expect(openJudge({ auditLog: auditLog(line(told)) }).mutations().size).toBe(0)
})

test('a line that is still being written counts once it is whole', () => {
  const whole = line()
  const path = auditLog(whole.slice(0, 40))
  const judge = openJudge({ auditLog: path })
  expect(judge.mutations().size).toBe(0)
  appendFileSync(path, whole.slice(40))
  expect(judge.mutations().size).toBe(1)
})

test('a remediation that changed its target twice stops the benchmark', () => {
  expect(() => openJudge({ auditLog: auditLog(line(), line()) }).mutations()).toThrow('twice')
})
