import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Check, Finding } from './finding.ts'

const sheet = 'docs/security/asvs.md'

/** Items of OWASP ASVS 5.0.0 of levels 1 and 2, by section: how many there are, and which are of level 3 or level 1. */
const sections: Record<string, { items: number; level1?: readonly number[]; level3?: readonly number[] }> = {
  '1.1': { items: 2 }, '1.2': { items: 10, level1: [1, 2, 3, 4, 5], level3: [10] }, '1.3': { items: 12, level1: [1, 2], level3: [12] }, '1.4': { items: 3 }, '1.5': { items: 3, level1: [1], level3: [3] },
  '2.1': { items: 3, level1: [1] }, '2.2': { items: 3, level1: [1, 2] }, '2.3': { items: 5, level1: [1], level3: [5] }, '2.4': { items: 2, level3: [2] },
  '3.2': { items: 3, level1: [1, 2], level3: [3] }, '3.3': { items: 5, level1: [1], level3: [5] }, '3.4': { items: 8, level1: [1, 2], level3: [7, 8] }, '3.5': { items: 8, level1: [1, 2, 3], level3: [6, 7, 8] }, '3.7': { items: 5, level3: [3, 4, 5] },
  '4.1': { items: 5, level1: [1], level3: [4, 5] }, '4.2': { items: 5, level3: [2, 3, 4, 5] }, '4.3': { items: 2 }, '4.4': { items: 4, level1: [1] },
  '5.1': { items: 1 }, '5.2': { items: 6, level1: [1, 2], level3: [4, 5, 6] }, '5.3': { items: 3, level1: [1, 2], level3: [3] }, '5.4': { items: 3 },
  '6.1': { items: 3, level1: [1] }, '6.2': { items: 12, level1: [1, 2, 3, 4, 5, 6, 7, 8] }, '6.3': { items: 8, level1: [1, 2], level3: [5, 6, 7, 8] }, '6.4': { items: 6, level1: [1, 2], level3: [5, 6] }, '6.5': { items: 8, level3: [6, 7, 8] }, '6.6': { items: 4, level3: [4] }, '6.8': { items: 4 },
  '7.1': { items: 3 }, '7.2': { items: 4, level1: [1, 2, 3, 4] }, '7.3': { items: 2 }, '7.4': { items: 5, level1: [1, 2] }, '7.5': { items: 3, level3: [3] }, '7.6': { items: 2 },
  '8.1': { items: 4, level1: [1], level3: [3, 4] }, '8.2': { items: 4, level1: [1, 2], level3: [4] }, '8.3': { items: 3, level1: [1], level3: [2, 3] }, '8.4': { items: 2, level3: [2] },
  '9.1': { items: 3, level1: [1, 2, 3] }, '9.2': { items: 4, level1: [1] },
  '10.1': { items: 2 }, '10.2': { items: 3, level3: [3] }, '10.3': { items: 5, level3: [5] }, '10.4': { items: 16, level1: [1, 2, 3, 4, 5], level3: [12, 13, 14, 15, 16] }, '10.5': { items: 5 }, '10.6': { items: 2 }, '10.7': { items: 3 },
  '11.1': { items: 4, level3: [3, 4] }, '11.2': { items: 5, level3: [4, 5] }, '11.3': { items: 5, level1: [1, 2], level3: [4, 5] }, '11.4': { items: 4, level1: [1] }, '11.5': { items: 2, level3: [2] }, '11.6': { items: 2, level3: [2] },
  '12.1': { items: 5, level1: [1], level3: [4, 5] }, '12.2': { items: 2, level1: [1, 2] }, '12.3': { items: 5, level3: [5] },
  '13.1': { items: 4, level3: [2, 3, 4] }, '13.2': { items: 6, level3: [6] }, '13.3': { items: 4, level3: [3, 4] }, '13.4': { items: 7, level1: [1], level3: [6, 7] },
  '14.1': { items: 2 }, '14.2': { items: 8, level1: [1], level3: [5, 6, 7, 8] }, '14.3': { items: 3, level1: [1] },
  '15.1': { items: 5, level1: [1], level3: [4, 5] }, '15.2': { items: 5, level1: [1], level3: [4, 5] }, '15.3': { items: 7, level1: [1] },
  '16.1': { items: 1 }, '16.2': { items: 5 }, '16.3': { items: 4 }, '16.4': { items: 3 }, '16.5': { items: 4, level3: [4] },
  '17.1': { items: 2, level3: [2] }, '17.2': { items: 8, level3: [5, 6, 7, 8] }, '17.3': { items: 2 },
}

/** Each item of levels 1 and 2, with its level. */
export const items: ReadonlyMap<string, 1 | 2> = new Map(
  Object.entries(sections).flatMap(([section, { items: count, level1 = [], level3 = [] }]) =>
    Array.from({ length: count }, (_, at) => at + 1).filter((at) => !level3.includes(at)).map((at): [string, 1 | 2] => [`${section}.${at}`, level1.includes(at) ? 1 : 2]),
  ),
)

export const statuses = ['tested', 'by design', 'not applicable', 'later', 'open'] as const
export type Status = (typeof statuses)[number]
export type Row = { item: string; level: string; status: string; where: string }

export const rowsOf = (text: string): Row[] =>
  [...text.matchAll(/^\| (\d+\.\d+\.\d+) \| (\d) \| .+? \| ([a-z ]+) \| (.+) \|$/gm)].map(([, item = '', level = '', status = '', where = '']) => ({ item, level, status, where }))

/** Of what applies, how much is tested. */
export function shares(rows: readonly Row[]): Record<1 | 2, { tested: number; applicable: number }> {
  const of = (level: 1 | 2) => {
    const applicable = rows.filter((row) => row.level === String(level) && row.status !== 'not applicable')
    return { tested: applicable.filter(({ status }) => status === 'tested').length, applicable: applicable.length }
  }
  return { 1: of(1), 2: of(2) }
}

/** Every item once, at its level; whoever says tested names tests that are there, whoever says by design a page or a file. */
export const asvs: Check = {
  name: 'asvs',
  async run(root) {
    const text = readFileSync(join(root, sheet), 'utf8')
    return faults(rowsOf(text), (path) => (existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined)).concat(statedShares(text))
  },
}

export function faults(rows: readonly Row[], read: (path: string) => string | undefined): Finding[] {
  const listed = new Map<string, number>()
  for (const { item } of rows) listed.set(item, (listed.get(item) ?? 0) + 1)
  return [
    ...[...items.keys()].filter((item) => !listed.has(item)).map((item) => `${sheet}: ${item} is missing`),
    ...[...listed].filter(([item, times]) => !items.has(item) || times > 1).map(([item, times]) => `${sheet}: ${item} is ${times > 1 ? 'there twice' : 'no item of level 1 or 2'}`),
    ...rows.filter(({ item, level }) => items.has(item) && String(items.get(item)) !== level).map(({ item }) => `${sheet}: ${item} is of level ${items.get(item)}`),
    ...rows.flatMap((row) => rowFaults(row, read).map((fault) => `${sheet}: ${row.item}: ${fault}`)),
  ]
}

function rowFaults({ status, where }: Row, read: (path: string) => string | undefined): string[] {
  if (!(statuses as readonly string[]).includes(status)) return [`\`${status}\` is no status: use ${statuses.join(', ')}`]
  if (status === 'tested') return testFaults(where, read)
  if (status !== 'by design') return where.length < 5 ? ['says no reason'] : []
  const named = [...where.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, path = '']) => join(dirname(sheet), path))
  return named.length > 0 && named.every((path) => read(path) !== undefined || existsSync(path)) ? [] : ['names no page or file that is there']
}

/** `file` “title”, “title”: each stands in the file as the name of a test, or of a row of its table. */
export function testFaults(where: string, read: (path: string) => string | undefined): string[] {
  const named = [...where.matchAll(/`([\w./-]+\.test\.ts)`((?:,? “[^”]+”)+)/g)].flatMap(([, path = '', titles = '']) => [...titles.matchAll(/“([^”]+)”/g)].map(([, title = '']) => [path, title] as const))
  if (named.length === 0) return ['names no test']
  return named.flatMap(([path, title]) => {
    const text = read(path)
    if (text === undefined) return [`\`${path}\` is not there`]
    const spelt = title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/'/g, "\\\\?'")
    return new RegExp(`[([]\\s*(['"\`])${spelt}\\1`).test(text) ? [] : [`\`${path}\` has no test “${title}”`]
  })
}

/** The page says its own shares, and they are those of its rows. */
function statedShares(text: string): Finding[] {
  const found = shares(rowsOf(text))
  return ([1, 2] as const).flatMap((level) => {
    const { tested, applicable } = found[level]
    const wanted = `| ${level} | ${tested} | ${applicable} | ${Math.floor((1000 * tested) / applicable) / 10} % |`
    return text.includes(wanted) ? [] : [`${sheet}: the table of shares has to say \`${wanted}\``]
  })
}
