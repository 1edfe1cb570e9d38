// One line per event, with the seconds since set-up began, so that a long first run is never silent.
const begun = Date.now()
const tickMs = 15_000

export const say = (line) => console.error(`[${String(Math.round((Date.now() - begun) / 1000)).padStart(4)} s] ${line}`)

/** Says what is being done, again every 15 s while it lasts. */
export async function during(what, work) {
  say(`${what} …`)
  const started = Date.now()
  const ticking = setInterval(() => say(`${what}: ${Math.round((Date.now() - started) / 1000)} s so far`), tickMs)
  try {
    return await work()
  } finally {
    clearInterval(ticking)
  }
}

/** Something the machine lacks, in one sentence with the command that provides it. */
export class Missing extends Error {}
