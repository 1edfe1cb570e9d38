import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export type Login = { accessToken: string; refreshToken: string; deviceToken: string; expiresAtMs: number }

/** Who is logged in where, in a file that its owner alone can read. What was logged out keeps its device token. */
export type Logins = {
  read(url: string): Login | undefined
  /** Of the device, logged in or not. */
  device(url: string): string
  write(url: string, login: Login): Login
  forget(url: string): void
}

type Stored = Record<string, Partial<Login>>

export function loginsIn(env: NodeJS.ProcessEnv): Logins {
  const folder = join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'aegis')
  const file = join(folder, 'logins.json')
  const all = (): Stored => {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Stored
    } catch {
      return {} // none yet, or not readable: logging in writes it anew
    }
  }
  const store = (logins: Stored) => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const draft = `${file}.${process.pid}`
    rmSync(draft, { force: true })
    writeFileSync(draft, JSON.stringify(logins), { mode: 0o600 })
    renameSync(draft, file)
  }
  return {
    read: (url) => {
      const found = all()[url]
      return found?.accessToken && found.refreshToken ? (found as Login) : undefined
    },
    device: (url) => all()[url]?.deviceToken ?? '',
    write: (url, login) => {
      store({ ...all(), [url]: login })
      return login
    },
    forget: (url) => store({ ...all(), [url]: { deviceToken: all()[url]?.deviceToken ?? '' } }),
  }
}
