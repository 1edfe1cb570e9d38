import type { PolicyInput } from '../input.ts'
import { firstCells } from '../lint/cells.ts'
import type { Box } from '../lint/region.ts'
import { usualRequest, withFact, type Ground } from '../lint/witness.ts'

/** A request in the box for this resource, at a moment that is in it. */
export function requestAt(ground: Ground, box: Box, { segments, text }: { segments: readonly string[]; text: string }, now: number): PolicyInput {
  const { space } = ground
  const [action, type] = [space.actions, space.types].map((axis) => axis.samples[firstCells(box.get(axis) ?? axis.all, 1)[0]!]) as [string, PolicyInput['type']]
  const usual = { ...usualRequest(ground, action, segments, { type, now }), resource: text }
  const input = [...box].filter(([{ kind }]) => kind === 'fact').reduce((made, [axis, cells]) => withFact(made, axis, cells, 0), usual)
  // That nothing was done yet is said, not left out.
  return { ...input, history: { sinceLastActionMs: null, ...input.history } }
}
