import { severities } from '../remediation.ts'

/** Ordered words, lowest first. A word that is not on its scale is unknown, not lowest. */
export const scales = { severity: severities } as const satisfies Record<string, readonly string[]>

/** Attributes that are read on a scale. */
const scaleOfAttribute: Readonly<Record<string, readonly string[]>> = { 'context.severity': scales.severity }

export const scaleOf = (attr: string): readonly string[] | undefined =>
  Object.hasOwn(scaleOfAttribute, attr) ? scaleOfAttribute[attr] : undefined

/** Higher is graver; a word off the scale is below it. */
export const severityRank = (word: string | null): number => scales.severity.findIndex((each) => each === word)
