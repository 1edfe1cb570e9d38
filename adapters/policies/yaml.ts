import { Composer, isMap, isScalar, LineCounter, Parser, visit, type CST, type Document } from 'yaml'
import { bounds } from '../../domain/policy/bounds.ts'
import { pathText, type Path } from '../../domain/policy/check.ts'

/** One document of a file as plain data, with a way back to its lines. */
export type SourceDocument = { value: unknown; bytes: number; where: (path: Path) => string }

/** `file:line: what is wrong`, ready to be read. */
export type SourceError = string

/** References to one anchor; enough to share a list, too few to blow up. */
const mostAliases = 20
export const mostFileBytes = 1024 * 1024
/** A policy or a test of one, with as much room again for comments. */
const usualDocumentBytes = 2 * bounds.documentBytes
const mostDocuments = 10_000
/** A policy needs fewer than twenty. */
const mostDepth = 64

const options = { uniqueKeys: false, stringKeys: true, strict: true, schema: 'core', resolveKnownTags: false, version: '1.2', logLevel: 'silent', prettyErrors: false } as const

/**
 * Reads YAML 1.2 with no freedom: unique text keys, no tags beyond JSON's types, few aliases, bounded depth. Empty
 * documents are skipped, so that a file may be all comment. What is out of bounds is found in the tokens, before
 * anything is made of them: making costs stack by depth, and time by size.
 */
export function readYaml(file: string, text: string, mostDocumentBytes = usualDocumentBytes): { documents: SourceDocument[]; errors: SourceError[] } {
  if (Buffer.byteLength(text) > mostFileBytes) return { documents: [], errors: [`${file}: larger than 1 MiB; split it`] }
  const lines = new LineCounter()
  const tokens = [...new Parser(lines.addNewLine).parse(text)]
  const out = outOfBounds(tokens, text.length, mostDocumentBytes)
  if (out) return { documents: [], errors: [`${file}:${lines.linePos(out.offset).line}: ${out.message}`] }
  const found = [...new Composer({ ...options, lineCounter: lines }).compose(tokens)].filter(({ contents, errors }) => errors.length > 0 || !isNothing(contents))
  const syntax = found.flatMap((document) =>
    [...document.errors, ...document.warnings, ...repeatedKeys(document)].map(({ message, pos: [at] }) => `${file}:${lines.linePos(at).line}: ${message}`))
  if (syntax.length > 0) return { documents: [], errors: syntax }
  const documents: SourceDocument[] = []
  const errors: SourceError[] = []
  for (const document of found) {
    const value = plainValue(document)
    const where = (path: Path): string => `${file}:${lineOf(document, path, lines)}`
    if (value.failed !== undefined) errors.push(`${where([])}: ${value.failed}`)
    else documents.push({ value: value.value, bytes: document.range[2] - document.range[0], where })
  }
  return { documents, errors }
}

function outOfBounds(tokens: readonly CST.Token[], end: number, mostBytes: number): { offset: number; message: string } | undefined {
  const documents = tokens.filter((token) => token.type === 'document')
  if (documents.length > mostDocuments) return { offset: documents[mostDocuments]!.offset, message: `more than ${mostDocuments} documents in one file; split it` }
  const large = documents.find(({ offset }, at) => (documents[at + 1]?.offset ?? end) - offset > mostBytes)
  if (large) return { offset: large.offset, message: `this document is larger than ${mostBytes} bytes; split it` }
  return documents.map(tooDeep).find((found) => found !== undefined)
}

/** Goes down without a call per level: that is what it is here to prevent. */
function tooDeep(document: CST.Document): { offset: number; message: string } | undefined {
  const left: { token: CST.Token | null | undefined; depth: number }[] = [{ token: document.value, depth: 1 }]
  for (let next = left.pop(); next; next = left.pop()) {
    const { token, depth } = next
    if (!token || !('items' in token)) continue
    if (depth > mostDepth) return { offset: token.offset, message: `nested more than ${mostDepth} deep` }
    for (const { key, value } of token.items as CST.CollectionItem[]) left.push({ token: key, depth: depth + 1 }, { token: value, depth: depth + 1 })
  }
  return undefined
}

/** The library compares every key of a mapping with every other, which a large one turns into minutes. */
function repeatedKeys(document: Document.Parsed): { message: string; pos: [number] }[] {
  const found: { message: string; pos: [number] }[] = []
  visit(document, {
    Map: (_at, { items }) => {
      const seen = new Set<unknown>()
      for (const { key } of items) {
        const name = isScalar(key) ? key.value : key
        if (seen.has(name)) found.push({ message: 'Map keys must be unique', pos: [(key as { range?: [number] }).range?.[0] ?? 0] })
        seen.add(name)
      }
    },
  })
  return found
}

export const problemText = ({ where }: SourceDocument, path: Path, message: string): SourceError =>
  `${where(path)}: ${pathText(path)}: ${message}`

const isNothing = (contents: unknown): boolean => contents === null || (isScalar(contents) && contents.value === null)

type Plain = { value: unknown; failed?: undefined } | { value?: undefined; failed: string }

function plainValue(document: Document.Parsed): Plain {
  try {
    return { value: document.toJS({ maxAliasCount: mostAliases }) }
  } catch {
    return { failed: `uses more than ${mostAliases} aliases, or one that cannot be resolved; write the values out` }
  }
}

/** The line of the key or list entry at the path, or of the nearest one above it that exists. */
function lineOf(document: Document.Parsed, path: Path, lines: LineCounter): number {
  for (let length = path.length; length > 0; length--) {
    const start = startOf(document, path.slice(0, length))
    if (start !== undefined) return lines.linePos(start).line
  }
  return lines.linePos(document.contents?.range?.[0] ?? document.range[0]).line
}

function startOf(document: Document.Parsed, path: Path): number | undefined {
  const above: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  const last = path[path.length - 1]
  const key = isMap(above) ? above.items.find((pair) => isScalar(pair.key) && pair.key.value === last)?.key : undefined
  const node: unknown = key ?? document.getIn(path, true)
  return (node as { range?: [number, number, number] | null } | undefined)?.range?.[0]
}
