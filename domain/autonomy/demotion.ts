import { strictestMode, type Ending, type Mode } from '../remediation.ts'

/** Whether an ending speaks against whoever permitted the act: it was taken back, made things worse, or left a person to look. */
export const isBad = ({ outcome, verdict }: Pick<Ending, 'outcome' | 'verdict'>, acted: boolean): boolean =>
  acted && (outcome === 'undone' || outcome === 'needs_human' || verdict === 'worse')

/** Below `suggest` a person puts it: with `suggest` nothing acts any more, and people still see what would be done. */
const below: Record<Mode, Mode | null> = { auto: 'approve', approve: 'suggest', suggest: null, observe: null }

/**
 * Where a bad outcome puts a policy that stood at `actedAt` when it permitted the act, and whose rung is at `rung`
 * now (null: it has none). Null: it stays where it is. Never up, whatever came in between.
 */
export const demotedTo = (actedAt: Mode, rung: Mode | null): Mode | null => below[strictestMode(actedAt, rung ?? 'auto')]
