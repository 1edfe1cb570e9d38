/** L9, L10, L11: policies nobody looks after. */
import { dayMs, parseInstant } from '../calendar.ts'
import type { ExceptionDocument } from '../exception.ts'
import type { CompiledPolicy } from '../snapshot.ts'
import type { Area } from './areas.ts'
import type { Axis } from './cells.ts'
import { dateText } from './dates.ts'
import type { Finding, FindingSeverity } from './finding.ts'
import { cellAt } from './moment-cells.ts'
import type { Space } from './space.ts'

const soonDays = 14
export const longDays = 30
/** Exceptions are short by themselves. */
const exceptionSoonMs = 3 * dayMs

/** Content hashes of the policies that matched no decision on record in `longDays`; or why that is not known. */
export type History = { unmatched: ReadonlySet<string> } | { unknown: string }

const finding = (code: Finding['code'], severity: FindingSeverity, { document: { id } }: CompiledPolicy, path: string, message: string): Finding =>
  ({ code, severity, policy: id, others: [], path, message, witness: null })

export const ownerless = (policies: readonly CompiledPolicy[]): Finding[] =>
  policies.filter(({ document }) => document.effect === 'allow' && document.owner === null).map((policy) =>
    finding('L9', 'warning', policy, 'owner', 'this allow names nobody who answers for it. Set `owner`'))

export const outOfTime = (areas: readonly Area[], { instants }: Space, nowMs: number): Finding[] =>
  areas.flatMap(({ policy, sure }) => {
    const { validFrom, validTo } = policy
    const [from, to] = [validFrom, validTo].map((at) => (Number.isFinite(at) ? dateText(Math.floor(at / dayMs)) : ''))
    if (validTo <= nowMs) return [finding('L10', 'warning', policy, 'validity.notAfter', `this policy is over since ${to}. Take it out, or give it a later \`notAfter\``)]
    if (validTo - nowMs <= soonDays * dayMs) return [finding('L10', 'warning', policy, 'validity.notAfter', `this policy ends on ${to}, in less than ${soonDays} days. Renew it, or let it go`)]
    if (validFrom - nowMs > longDays * dayMs) return [finding('L10', 'notice', policy, 'validity.notBefore', `this policy begins on ${from} only. See that it is still wanted then`)]
    if (sure && sure.length > 0 && sure.every((box) => isPast(box.get(instants) ?? instants.all, instants, nowMs))) {
      return [finding('L10', 'warning', policy, 'when', 'the last time span of this policy is over, so that it never holds again. Take it out, or give it a new span')]
    }
    return []
  })

/** Exceptions are told of with the policy that they open. */
export const exceptionsOutOfTime = (exceptions: readonly ExceptionDocument[], nowMs: number): Finding[] =>
  exceptions.flatMap(({ id, policy, expiresAt }) => {
    const tell = (message: string): Finding[] => [{ code: 'L10', severity: 'warning', policy, others: [], path: 'document', message: `exception \`${id}\` from this policy ${message}`, witness: null }]
    const leftMs = parseInstant(expiresAt)! - nowMs
    if (leftMs <= 0) return tell(`is over since ${expiresAt}. Take it out`)
    return leftMs <= exceptionSoonMs ? tell(`ends at ${expiresAt}, in less than ${exceptionSoonMs / dayMs} days. Then the policy holds again: ask for a new one, or change the policy`) : []
  })

/** No cell from the one of `nowMs` on; `nowMs` opens a cell of its own. */
const isPast = (cells: bigint, { samples }: Axis, nowMs: number): boolean => cells >> BigInt(cellAt(samples as number[], nowMs)) === 0n

export const unmatched = (policies: readonly CompiledPolicy[], hashes: ReadonlySet<string>, nowMs: number): Finding[] =>
  policies.filter(({ hash, validFrom }) => hashes.has(hash) && nowMs - validFrom > longDays * dayMs).map((policy) =>
    finding('L11', 'notice', policy, 'document', `this policy matched nothing on record in ${longDays} days. See that it says what it is meant to, or take it out`))
