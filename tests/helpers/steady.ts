/** A load that goes on evenly while something is changed under it. */
import { setTimeout as sleep } from 'node:timers/promises'

export type Clock = {
  /** Waits until so many seconds after the beginning. */
  until(seconds: number): Promise<void>
}

/** Fires `perSecond` times a second, whether the one before was answered or not, while `meanwhile` runs; waits for all. */
export async function steadily(perSecond: number, seconds: number, fire: (at: number) => Promise<void>, meanwhile: (clock: Clock) => Promise<void>): Promise<void> {
  const begun = performance.now()
  const until = (after: number) => sleep(Math.max(0, begun + after * 1_000 - performance.now())).then(() => undefined)
  const changing = meanwhile({ until })
  const flying: Promise<void>[] = []
  for (let at = 0; at < seconds * perSecond; at++) {
    await until(at / perSecond)
    flying.push(fire(at))
  }
  await Promise.all([changing, ...flying])
}
