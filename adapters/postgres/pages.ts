import { Failure } from '../../domain/failure.ts'

/** `next` is the cursor of the following page; null on the last one. */
export type Page<T> = { items: T[]; next: string | null }

const pageLimit = 200

/** From one row more than asked for, which tells whether there is a next page. */
export function toPage<T>(found: T[], limit: number, place: (item: T) => string[]): Page<T> {
  const size = Math.min(limit, pageLimit)
  const items = found.slice(0, size)
  const last = items.at(-1)
  return { items, next: found.length > size && last !== undefined ? Buffer.from(JSON.stringify(place(last))).toString('base64url') : null }
}

/** The place a cursor stands for, in `length` words; none without a cursor. */
export function fromCursor(cursor: string | undefined, length: number): string[] {
  if (cursor === undefined) return []
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(place) && place.length === length && place.every((word) => typeof word === 'string' && /^[\w.:-]{1,64}$/.test(word))) return place as string[]
  } catch {
    // falls through to the refusal
  }
  throw new Failure('invalid', 'bad_cursor', 'this `cursor` was not given out by us: begin again without one')
}
