/**
 * Sets of values as sets of cells. The values of one fact fall into finitely many cells within which every
 * leaf of the policies at hand gives one answer, so that sets can be met, joined and compared exactly.
 */

/** A set of cells, one bit each. */
export type Cells = bigint

export type AxisKind = 'fact' | 'action' | 'type' | 'week' | 'instant' | 'opaque'

/** What one fact, or the clock, can be. `samples` holds a value of each cell, those a person would expect first. */
export type Axis = {
  readonly kind: AxisKind
  readonly key: string
  readonly samples: readonly unknown[]
  readonly all: Cells
}

export const axisOf = (kind: AxisKind, key: string, samples: readonly unknown[]): Axis =>
  ({ kind, key, samples, all: (1n << BigInt(samples.length)) - 1n })

export function cellsWhere<T>(samples: readonly T[], holds: (sample: T) => boolean): Cells {
  // A binary numeral, highest cell first: one conversion is quicker than a shift for every cell.
  const digits = samples.map((sample) => (holds(sample) ? '1' : '0')).reverse().join('')
  return digits === '' ? 0n : BigInt(`0b${digits}`)
}

export const has = (cells: Cells, cell: number): boolean => ((cells >> BigInt(cell)) & 1n) === 1n

/** The first `most` cells of a set. */
export function firstCells(cells: Cells, most: number): number[] {
  const found: number[] = []
  for (let left = cells; left > 0n && found.length < most; left &= left - 1n) found.push((left & -left).toString(2).length - 1)
  return found
}
