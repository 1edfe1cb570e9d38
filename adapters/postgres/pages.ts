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

/** What a word of a cursor is: the database would take nothing else for it. */
export type CursorWord = 'id' | 'time' | 'number'

const wordForms: Record<CursorWord, RegExp> = {
  id: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  time: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z$/,
  number: /^[1-9]\d{0,8}$/,
}

/** The place a cursor stands for, word by word; none without a cursor. */
export function fromCursor(cursor: string | undefined, words: readonly CursorWord[]): string[] {
  if (cursor === undefined) return []
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(place) && place.length === words.length && words.every((word, at) => typeof place[at] === 'string' && wordForms[word].test(place[at]))) return place as string[]
  } catch {
    // falls through to the refusal
  }
  throw new Failure('invalid', 'bad_cursor', 'this `cursor` was not given out by us: begin again without one')
}
