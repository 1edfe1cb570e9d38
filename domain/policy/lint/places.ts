import type { Condition, Leaf, PolicyDocument } from '../document.ts'

/** A leaf, where it stands, and whether the policy is the truer the truer it is: not so below `not` and in `unless`. */
export type Placed = { leaf: Leaf; path: string; positive: boolean }

export const placedLeaves = ({ when, unless }: PolicyDocument): Placed[] =>
  [...below(when, 'when', true), ...below(unless, 'unless', false)]

function below(condition: Condition, path: string, positive: boolean): Placed[] {
  if ('not' in condition) return below(condition.not, `${path}.not`, !positive)
  if ('all' in condition) return condition.all.flatMap((part, at) => below(part, `${path}.all[${at}]`, positive))
  if ('any' in condition) return condition.any.flatMap((part, at) => below(part, `${path}.any[${at}]`, positive))
  const step = 'time' in condition ? '.time' : 'cel' in condition ? '.cel' : ''
  return [{ leaf: condition, path: `${path}${step}`, positive }]
}
