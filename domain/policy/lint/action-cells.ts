import type { AttributeLeaf } from '../document.ts'
import { actionKeys } from '../names.ts'
import type { CompiledPolicy } from '../snapshot.ts'
import { axisOf, type Axis } from './cells.ts'
import { ownActions } from './facts.ts'

/** Every kind that is named with every verb that is, and one of each that is not; what Aegis itself does first. */
export function actionAxis(policies: readonly CompiledPolicy[], leaves: readonly AttributeLeaf[]): Axis {
  const named = [...ownActions, ...policies.flatMap(({ document }) => document.actions), ...leaves.filter(({ attr }) => attr === 'action').flatMap(({ value }) => textsOf(value))]
  const pairs = named.map((action) => action.split(':')).filter((parts) => parts.length === 2) as [string, string][]
  const kinds = withFresh(pairs.map(([kind]) => kind))
  const verbs = withFresh(pairs.map(([, verb]) => verb))
  const crossed = new Set([...kinds].flatMap((kind) => [...verbs].map((verb) => `${kind}:${verb}`)))
  return axisOf('action', 'action', [...new Set([...ownActions, ...named.filter((action) => crossed.has(action)), ...crossed])])
}

/** Whether a pattern of a policy names the action. */
export const actionMatches = (pattern: string, action: string): boolean => actionKeys(action).includes(pattern)

const textsOf = (value: AttributeLeaf['value']): string[] => (Array.isArray(value) ? value : [value]).filter((one) => typeof one === 'string')

function withFresh(words: readonly string[]): Set<string> {
  const known = new Set(words.filter((word) => word !== '*'))
  let fresh = 'other'
  while (known.has(fresh)) fresh += '-x'
  return known.add(fresh)
}
