/** `npm run test:long` plays everything; `npm test` plays what a seed draws. AEGIS_TEST_SEED=… draws others. */
export const playsAll = process.env['AEGIS_TEST_LONG'] !== undefined
export const seed = Number(process.env['AEGIS_TEST_SEED'] ?? 1_680_829_447)

const freshSeed = Number(process.env['AEGIS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** For properties: new each run, and printed, so that what was played can be played again. */
export function printedSeed(of: string): number {
  process.stderr.write(`${of}: AEGIS_TEST_SEED=${freshSeed}\n`)
  return freshSeed
}

/** `count` of them, different ones for each seed, in their own order. */
export function drawn<T>(all: readonly T[], count: number, from = seed): T[] {
  const random = randomOf(from)
  const ranked = all.map((item, at) => ({ item, at, rank: random() })).sort((a, b) => a.rank - b.rank)
  return ranked.slice(0, count).sort((a, b) => a.at - b.at).map(({ item }) => item)
}

/** mulberry32: small, and the same everywhere. */
function randomOf(from: number): () => number {
  let state = from >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
