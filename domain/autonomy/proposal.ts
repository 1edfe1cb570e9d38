import { dayMs } from '../policy/calendar.ts'
import { strictestMode, type Mode } from '../remediation.ts'
import { wilsonLowerBound } from './wilson.ts'

/** What speaks for a policy in one namespace of one cluster, and against it. */
export type Evidence = {
  /** What it suggested by itself, and whether a person then started the same within a day. Repeats of a day are one. */
  suggestions: { agreed: number; ignored: number }
  /** Remediations that people were asked about; a cancel is a no. */
  approvals: { approved: number; declined: number }
  /** What was done with its permission, and how that ended. */
  acts: { healed: number; bad: number }
  /** Epoch milliseconds of the newest bad ending; null: there was none. */
  lastBadAtMs: number | null
}

/** How far back evidence counts: a season of incidents, and code that is older than that is hardly the same any more. */
export const evidenceWindowMs = 90 * dayMs
/** Somebody who finds a suggestion in the morning has until the next one to take it up. */
export const agreementWindowMs = dayMs
/** Four times in five, at least, by 95 % confidence: 16 of 16, 24 of 25, 31 of 33. */
export const enough = 0.8
/** A bad outcome is looked into before anything is raised: a week has a weekday for everybody. */
export const quietMs = 7 * dayMs

export type LadderPlace = {
  /** The standing rung; null: none. */
  rung: Mode | null
  /** The strictest of settings and own `mode`, as the newest decision had it; null: none on record. */
  ceiling: Mode | null
  evidence: Evidence
}

export type Proposal = {
  /** What holds now. */
  mode: Mode
  /** The next rung up, when the evidence suffices for it. */
  proposal: 'suggest' | 'approve' | 'auto' | null
  /** Whether the ladder is what caps it there: anything else is raised in the settings or in the policy's file. */
  held: boolean
  /** One sentence for people: why, or what is missing. */
  why: string
}

/** Proposes, and never promotes: that is a person's step. One rung at a time. */
export function propose({ rung, ceiling, evidence }: LadderPlace, nowMs: number): Proposal {
  const mode = strictestMode(rung ?? 'auto', ceiling ?? 'auto')
  const held = rung !== null && rung === mode && mode !== 'auto'
  const next = nextOf[mode]
  const no = (why: string): Proposal => ({ mode, proposal: null, held, why })
  if (mode === 'observe' && held) return { mode, proposal: 'suggest', held, why: 'at `suggest` nothing acts either: people are told what would be done, and so evidence begins' }
  if (next === null) return no(mode === 'auto' ? 'the ladder caps nothing here' : 'at `observe` nothing is suggested, so nobody can agree')
  const missing = missingFor(next, evidence, nowMs)
  if (missing.length > 0) return no(`for \`${next}\` ${missing.join('; ')}`)
  const how = held ? '' : '; what caps it is its own `mode` or the settings, so raise it there'
  return { mode, proposal: next, held, why: `${grounds(next, evidence)}${how}` }
}

const nextOf: Record<Mode, 'approve' | 'auto' | null> = { observe: null, suggest: 'approve', approve: 'auto', auto: null }

/** At `suggest` nothing acts, so only people's agreement can speak for it; at `approve` its acts have to as well. */
function missingFor(next: 'approve' | 'auto', evidence: Evidence, nowMs: number): string[] {
  const { lastBadAtMs, acts } = evidence
  const missing = [...tooLittle(agreementOf(next, evidence)), ...(next === 'auto' ? tooLittle(successOf(acts)) : [])]
  if (lastBadAtMs === null || nowMs - lastBadAtMs >= quietMs) return missing
  return [...missing, `the last bad outcome has to be ${quietMs / dayMs} days old and is ${Math.floor((nowMs - lastBadAtMs) / dayMs)}`]
}

type Shares = { what: string; yes: number; total: number }

const agreementOf = (next: 'approve' | 'auto', { suggestions, approvals }: Evidence): Shares =>
  next === 'approve'
    ? { what: 'suggestions taken up', yes: suggestions.agreed, total: suggestions.agreed + suggestions.ignored }
    : { what: 'questions approved', yes: approvals.approved, total: approvals.approved + approvals.declined }

const successOf = ({ healed, bad }: Evidence['acts']): Shares => ({ what: 'acts healed', yes: healed, total: healed + bad })

const tooLittle = (shares: Shares): string[] => (wilsonLowerBound(shares.yes, shares.total) >= enough ? [] : [`${sharesText(shares)}, wanted at least ${percent(enough)}`])

const grounds = (next: 'approve' | 'auto', evidence: Evidence): string =>
  [agreementOf(next, evidence), ...(next === 'auto' ? [successOf(evidence.acts)] : [])].map(sharesText).join('; ')

const sharesText = ({ what, yes, total }: Shares): string => `${yes} of ${total} ${what} vouch for ${percent(wilsonLowerBound(yes, total))}`

/** Rounded down: 80 % must not stand where less was shown. */
const percent = (share: number): string => `${Math.floor(share * 100)} %`
