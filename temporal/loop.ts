export type Loop = { kick(): void; stop(): Promise<void> }

export type LoopOptions = {
  everyMs: number
  /** Told of each failed round; the loop goes on, so what is down is tried again. */
  onFailure(failure: unknown): void
}

/**
 * Runs `round` every `everyMs`, and at once when kicked; never two rounds at a time. A round that
 * answers true has more to do and is repeated without a pause. `stop` waits for the round that runs.
 */
export function startLoop(round: () => Promise<boolean | void>, { everyMs, onFailure }: LoopOptions): Loop {
  let stopped = false
  let kicked = false
  let wake: () => void = () => undefined

  const pause = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, everyMs)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const running = (async () => {
    while (!stopped) {
      kicked = false
      const more = await round().catch(onFailure)
      if (more !== true && !kicked && !stopped) await pause()
    }
  })()
  return {
    kick() {
      kicked = true
      wake()
    },
    async stop() {
      stopped = true
      wake()
      await running
    },
  }
}
