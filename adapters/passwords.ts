import { readFileSync } from 'node:fs'
import { hash as argon2Hash, parseOptions, verify as argon2Verify } from '@node-rs/argon2'
import { compare as bcryptCompare, getRounds } from 'bcryptjs'
import { Failure } from '../domain/failure.ts'
import { sha256Hex } from './signing.ts'

/** Of argon2id, which is what the package makes unless told otherwise. Memory in KiB. */
export const argon2Parameters = { memoryCost: 64 * 1024, timeCost: 3, parallelism: 1 } as const

export type Verified = { ok: boolean; /** Made with less than today's parameters: hash anew while the password is at hand. */ outdated: boolean }

export type Passwords = {
  hash(password: string): Promise<string>
  /** Without a hash it takes as long, and says no. */
  verify(stored: string | null, password: string): Promise<Verified>
  isCommon(lowerCase: string): boolean
}

/** Of 256 random bits that nobody kept, with today's parameters. */
const nobodys = '$argon2id$v=19$m=65536,t=3,p=1$2XYIdKp127LVwq5USG6J8A$df1PM4rdIRLUuwsLBaJV20lEjWpNEW+joywyovahUdw'

const mostWaiting = 50
const slotsDefault = 4
/** What stays free of hashing: signatures are checked by the same threads. */
const threadsForOthers = 2

/** As many at a time as there are threads to spare, four at the most. */
export const hashSlots = (threads: number): number => Math.max(1, Math.min(slotsDefault, threads - threadsForOthers))

/** `slots` hashes at a time and 50 that wait; one more is `unavailable`, so that nobody can fill the memory by logging in. */
export function passwords({ slots }: { slots: number }): Passwords {
  const inTurn = turns(slots)
  const common = new Set(readFileSync(new URL('./common-passwords.txt', import.meta.url), 'utf8').trimEnd().split('\n'))
  const hash = (password: string) => inTurn(() => argon2Hash(password, argon2Parameters))
  return {
    hash,
    verify: async (stored, password) => {
      if (stored !== null && isBcrypt(stored)) return { ok: await inTurn(() => verifyBcrypt(stored, password)), outdated: true }
      const matches = await inTurn(() => argon2Verify(stored ?? nobodys, password))
      return { ok: stored !== null && matches, outdated: stored !== null && isOutdated(stored) }
    },
    isCommon: (lowerCase) => common.has(sha256Hex(lowerCase).slice(0, 10)),
  }
}

const bcryptForm = /^\$2[ab]\$(\d{2})\$[./A-Za-z0-9]{53}$/
const bcryptRounds = { least: 10, most: 14 }
/** bcrypt reads no further: two passwords that begin alike would be one. */
const bcryptReadsBytes = 72

const isBcrypt = (stored: string): boolean => stored.startsWith('$2')

/** Whether a hash from elsewhere may be taken over: it is good for one login, which replaces it. */
export function isImportable(stored: string): boolean {
  if (!bcryptForm.test(stored)) return false
  const rounds = getRounds(stored)
  return rounds >= bcryptRounds.least && rounds <= bcryptRounds.most
}

const verifyBcrypt = async (stored: string, password: string): Promise<boolean> =>
  isImportable(stored) && Buffer.byteLength(password) <= bcryptReadsBytes && bcryptCompare(password, stored)

function isOutdated(stored: string): boolean {
  const { memoryCost, timeCost } = parseOptions(stored)
  return !stored.startsWith('$argon2id$') || memoryCost < argon2Parameters.memoryCost || timeCost < argon2Parameters.timeCost
}

/** Runs at most `slots` at a time; at most 50 wait. */
function turns(slots: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= slots) {
      if (waiting.length >= mostWaiting) throw new Failure('unavailable', 'hashing_busy', `${mostWaiting} passwords wait to be checked: try again in a moment`)
      await new Promise<void>((resolve) => waiting.push(resolve)) // whoever ends hands its slot on
    } else running += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}
