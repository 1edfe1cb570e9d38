/** Random draws that are the same everywhere for the same seed. */
export type Draw = { chance: () => number; below: (limit: number) => number; pick: <T>(from: readonly T[]) => T }

export function draws(seed: number): Draw {
  const chance = mulberry32(seed)
  const below = (limit: number): number => Math.floor(chance() * limit)
  return { chance, below, pick: (from) => from[below(from.length)]! }
}

function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
