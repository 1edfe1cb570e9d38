/** What policies are asked about that may take seconds: it is done in a thread of its own (`policy-thread.mjs`). */
import { readCases } from '../adapters/policies/cases.ts'
import { compileFiles, isTestFile, type PolicyFile, type WhereOf } from '../adapters/policies/files.ts'
import { compiling } from '../adapters/policies/means.ts'
import { tzdataVersion, wallClock } from '../adapters/policies/zones.ts'
import { runCase, type CaseResult } from '../domain/policy/cases.ts'
import { pathOfText } from '../domain/policy/check.ts'
import { coverageOf, type Coverage } from '../domain/policy/coverage.ts'
import type { PolicyDocument } from '../domain/policy/document.ts'
import type { ExceptionDocument } from '../domain/policy/exception.ts'
import { grantsMore, type Grant } from '../domain/policy/grants.ts'
import type { Finding, LeftOut } from '../domain/policy/lint/finding.ts'
import { lintPolicies } from '../domain/policy/lint/lint.ts'
import type { History } from '../domain/policy/lint/upkeep.ts'
import { compileSnapshot, type PolicySnapshot } from '../domain/policy/snapshot.ts'

/** `files` are linted with their lines; without them the documents, which are in force under these hashes. */
export type LintJob = { kind: 'lint'; nowMs: number; history: History } & ({ files: PolicyFile[] } | (PolicySet & { where?: undefined }))
/** Policies and, in `*.test.yaml`, their tests. */
export type TestJob = { kind: 'test'; files: PolicyFile[] }
/** A whole set as it is, or would be, in force. */
export type PolicySet = { documents: PolicyDocument[]; hashes: [id: string, hash: string][]; exceptions: ExceptionDocument[] }
/** Whether one set lets more happen than another. */
export type GrantJob = { kind: 'grants'; nowMs: number; before: PolicySet; after: PolicySet }
export type PolicyJob = LintJob | TestJob | GrantJob

export type Linted = { findings: (Finding & { where: string | null })[]; leftOut: LeftOut[] }
export type Tested = { snapshot: string; results: CaseResult[]; coverage: Coverage }
export type DoneOf<Job extends PolicyJob> = Job extends LintJob ? Linted : Job extends TestJob ? Tested : Grant | null

/** Both were compiled before they came here: what does not compile is a bug. */
export function doJob(job: PolicyJob): Linted | Tested | Grant | null {
  if (job.kind === 'grants') return grants(job)
  return job.kind === 'lint' ? lint(job) : test(job)
}

function grants({ nowMs, before, after }: GrantJob): Grant | null {
  const [was, is] = [before, after].map(({ documents, hashes, exceptions }) => compileSnapshot(documents, { ...compiling, hashes: new Map(hashes), exceptions })) as [PolicySnapshot, PolicySnapshot]
  return grantsMore(was, is, { nowMs, wallClock, tzdata: tzdataVersion })
}

function lint(job: LintJob): Linted {
  // Exceptions come and go: what is linted is what holds without them.
  const { documents, exceptions, hashes = [], where = () => undefined } = 'files' in job ? compiled(job.files) : job
  const snapshot = compileSnapshot(documents, { ...compiling, hashes: new Map(hashes) })
  const { findings, leftOut } = lintPolicies(snapshot, { nowMs: job.nowMs, wallClock, tzdata: tzdataVersion, history: job.history, exceptions })
  return { findings: findings.map((one) => ({ ...one, where: one.policy === null ? null : (where(one.policy, pathOfText(one.path)) ?? null) })), leftOut }
}

function test({ files }: TestJob): Tested {
  const { snapshot } = compiled(files)
  const { cases, errors } = readCases(files.filter(({ name }) => isTestFile(name)))
  if (!cases) throw new Error(errors.join('\n'))
  return { snapshot: snapshot.hash, results: cases.map((each) => runCase(snapshot, each)), coverage: coverageOf(snapshot, cases.map(({ input }) => input)) }
}

type Compiled = { snapshot: PolicySnapshot; documents: PolicyDocument[]; exceptions: ExceptionDocument[]; where: WhereOf; hashes?: undefined }

function compiled(files: readonly PolicyFile[]): Compiled {
  const loaded = compileFiles(files.filter(({ name }) => !isTestFile(name)))
  if (loaded.snapshot) return loaded
  throw new Error(loaded.errors.join('\n'))
}
