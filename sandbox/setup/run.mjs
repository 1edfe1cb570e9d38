import { spawn } from 'node:child_process'

const running = new Set()
const outputLimit = 64 * 1024

/** Runs a command quietly; what it printed is kept for the error. `limitMs` bounds it. */
export function run(command, args, { limitMs, ...options }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options })
    running.add(child)
    let output = ''
    const keep = (chunk) => (output = (output + chunk).slice(-outputLimit))
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    const timer = setTimeout(() => end(child), limitMs)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      if (code === 0) resolve(output)
      else reject(new CommandFailed(command, args, signal ?? `exit code ${code}`, output))
    })
  })
}

export class CommandFailed extends Error {
  constructor(command, args, ending, output) {
    const end = output.trimEnd().split('\n').slice(-12).join('\n')
    super(`\`${[command, ...args].join(' ').slice(0, 200)}\` failed (${ending}):\n${end}`)
    this.output = output
  }
}

// With its whole group: `go build` and `npm ci` have children of their own.
const end = (child) => {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // it ended by itself meanwhile
  }
}

/** Nothing that set-up started outlives it. */
export function endAll() {
  for (const child of running) end(child)
}
