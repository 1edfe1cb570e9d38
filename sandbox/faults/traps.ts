/** Where in its life a call can be caught: still in the proxy; carried out, its answer withheld; its answer handed over. */
export type Phase = 'before_send' | 'after_send' | 'after_reply'

/** What becomes of a caught call. `cut`: it goes no further, and whoever called loses the connection. */
export type Then = 'pass' | 'cut' | void

/** May take as long as it likes: the call is held meanwhile. Signals to processes are sent from here. */
export type Act<Call> = (call: Call) => Then | Promise<Then>

export type TrapOptions<Call> = {
  matches(call: Call): boolean
  phase: Phase
  /** The first match is 1, which is also the default. */
  nth?: number | undefined
  act?: Act<Call> | undefined
}

/** `hit` settles when `act` is done, and rejects with what it threw. */
export type Trap<Call> = { hit: Promise<Call>; disarm(): void }

type Armed<Call> = TrapOptions<Call> & { left: number; settle: PromiseWithResolvers<Call> }

/** Traps spring once. A proxy shows every call to `claim` before anything is done with it. */
export function trapSet<Call>() {
  const armed = new Set<Armed<Call>>()

  return {
    arm(options: TrapOptions<Call>): Trap<Call> {
      const trap: Armed<Call> = { ...options, left: options.nth ?? 1, settle: withResolvers<Call>() }
      armed.add(trap)
      trap.settle.promise.catch(() => undefined) // whoever waits for it hears of it
      return { hit: trap.settle.promise, disarm: () => void armed.delete(trap) }
    },

    /** The traps this call has sprung, to be served phase by phase. */
    claim(call: Call): Sprung {
      const sprung = [...armed].filter((trap) => trap.matches(call) && --trap.left === 0)
      for (const trap of sprung) armed.delete(trap)
      return {
        waits: (...phases) => sprung.some(({ phase }) => phases.includes(phase)),
        serve: async (phase) => {
          const verdicts = await Promise.all(sprung.filter((trap) => trap.phase === phase).map((trap) => serve(trap, call)))
          return verdicts.includes('cut') ? 'cut' : 'pass'
        },
      }
    },

    disarmAll: () => armed.clear(),
  }
}

export type Sprung = { waits(...phases: Phase[]): boolean; serve(phase: Phase): Promise<'pass' | 'cut'> }

async function serve<Call>({ act, settle }: Armed<Call>, call: Call): Promise<'pass' | 'cut'> {
  try {
    const then = (await act?.(call)) ?? 'pass'
    settle.resolve(call)
    return then
  } catch (failure) {
    settle.reject(failure)
    return 'cut'
  }
}

type PromiseWithResolvers<T> = { promise: Promise<T>; resolve(value: T): void; reject(reason: unknown): void }

/** Node 20 has no `Promise.withResolvers`. */
export function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
