import { strictestMode, type Mode } from '../remediation.ts'
import type { Rung } from './rung.ts'

/** Where a policy stood when it took part in a decision. */
export type Standing = {
  policy: string
  /** The strictest of the settings and its own `mode`: what is not the ladder's to raise. */
  ceiling: Mode
  /** With its rung. */
  mode: Mode
}

/** Of each policy that permitted. `given` is the strictest of the global mode and the namespace's. */
export const standingOf = (binding: readonly { id: string; mode: Mode }[], given: Mode, rungs: readonly Rung[]): Standing[] =>
  binding.map(({ id, mode: own }) => {
    const ceiling = strictestMode(given, own)
    return { policy: id, ceiling, mode: strictestMode(ceiling, ...rungs.filter(({ policy }) => policy === id).map(({ mode }) => mode)) }
  })
