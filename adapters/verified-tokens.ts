/** Access tokens whose signature was found good under one set of keys: checking it is most of what a call with a token costs. */
import { hash } from 'node:crypto'

/** Epoch seconds between which the token itself says that it holds. */
export type Verified<Claims> = { claims: Claims; fromS: number; untilS: number }

export type VerifiedTokens<Claims> = {
  /** Undefined: it has to be checked. Never tells of a token outside of its own times. */
  find(token: string, nowS: number): Claims | undefined
  keep(token: string, verified: Verified<Claims>): void
}

const mostKept = 10_000

/**
 * Keeps no token, only what it hashes to, and nothing of one that was refused: whoever has none of ours takes no room.
 * What is known here is that we signed it and for whom, which never changes; how the session stands is asked elsewhere.
 */
export function verifiedTokens<Claims>(most = mostKept): VerifiedTokens<Claims> {
  const kept = new Map<string, Verified<Claims>>()
  return {
    find(token, nowS) {
      const known = kept.get(digestOf(token))
      return known && known.fromS <= nowS && nowS < known.untilS ? known.claims : undefined
    },
    keep(token, verified) {
      kept.set(digestOf(token), verified)
      for (const oldest of kept.keys()) {
        if (kept.size <= most) break
        kept.delete(oldest)
      }
    },
  }
}

const digestOf = (token: string): string => hash('sha256', token, 'base64')
