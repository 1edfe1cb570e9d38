import { createHash } from 'node:crypto'
import { entryHash, entryText, firstBrokenLink, type LedgerEntry } from './ledger.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const actor = { id: 'aegis', kind: 'system', owner: 'aegis' } as const

function chain(stream: string, ...kinds: string[]): string[] {
  let prev: string | null = null
  return kinds.map((kind, index) => {
    const entry: LedgerEntry = { v: 1, stream, seq: index + 1, key: kind, kind, at: '2026-01-01T00:00:00.000Z', about: null, actor, body: {}, prev }
    const text = entryText(entry)
    prev = entryHash(text, sha256)
    return text
  })
}

const [asked = '', acted = '', closed = ''] = chain('r', 'asked', 'acted', 'closed')
const [foreign = ''] = chain('s', 'asked')

test.each([
  ['an empty stream holds', [], undefined],
  ['an untouched stream holds', [asked, acted, closed], undefined],
  ['an edited entry shows at the next', [asked, acted.replace('aegis', 'nobody'), closed], 3],
  ['an edited last entry of a longer text shows by its seal, not here', [asked, acted.replace('aegis', 'nobody')], undefined],
  ['a dropped entry shows at its place', [asked, closed], 2],
  ['a dropped first entry shows at once', [acted, closed], 1],
  ['swapped entries show at the first', [asked, closed, acted], 2],
  ['a doubled entry shows at the second', [asked, asked, acted], 2],
  ['an entry of another stream shows', [asked, foreign], 2],
  ['the same meaning in another spelling shows', [asked.replace('{"', '{ "')], 1],
  ['a text that is no entry shows', [asked, 'nothing happened'], 2],
])('%s', (_name, texts, seq) => expect(firstBrokenLink(texts, sha256)).toBe(seq))
