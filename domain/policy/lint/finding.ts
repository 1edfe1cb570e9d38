import type { PolicyInput } from '../input.ts'

/** docs/policy.md, "Lint", says what each is about. */
export const codes = ['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'L8', 'L9', 'L10', 'L11', 'L12', 'L13', 'L14'] as const
export type Code = (typeof codes)[number]

/** The gravest first: an error is a policy that does not do what it says, a notice is worth knowing. */
export const findingSeverities = ['error', 'warning', 'notice'] as const
export type FindingSeverity = (typeof findingSeverities)[number]

export type Finding = {
  code: Code
  severity: FindingSeverity
  /** Null where what is wrong is that there is none. */
  policy: string | null
  /** Other policies it takes to see it. */
  others: string[]
  /** Place in the document, such as `when.all[0]`; the document itself is `document`. */
  path: string
  /** What is so, and what to do next. */
  message: string
  /** A request that shows it, asked of the engine before the finding was told; null where there is none to show. */
  witness: PolicyInput | null
}

/** What was not looked at, and why. */
export type LeftOut = { code: Code; reason: string }

export type LintReport = {
  findings: Finding[]
  leftOut: LeftOut[]
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** By policy, then code, then place: the same policies always give the same list. */
export const byPlace = (a: Finding, b: Finding): number =>
  byText(a.policy ?? '', b.policy ?? '') || codes.indexOf(a.code) - codes.indexOf(b.code) || byText(a.path, b.path) || byText(a.message, b.message)

/** Ids in backticks, the first few of many. */
export function named(ids: readonly string[], most = 5): string {
  const shown = ids.slice(0, most).map((id) => `\`${id}\``).join(', ')
  return ids.length > most ? `${shown} and ${ids.length - most} more` : shown
}
