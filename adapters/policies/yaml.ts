import { isMap, isScalar, LineCounter, parseAllDocuments, type Document } from 'yaml'
import { pathText, type Path } from '../../domain/policy/check.ts'

/** One document of a file as plain data, with a way back to its lines. */
export type SourceDocument = { value: unknown; bytes: number; where: (path: Path) => string }

/** `file:line: what is wrong`, ready to be read. */
export type SourceError = string

/** References to one anchor; enough to share a list, too few to blow up. */
const mostAliases = 20
const mostFileBytes = 1024 * 1024

/**
 * Reads YAML 1.2 with no freedom: unique text keys, no tags beyond JSON's types, few aliases. Empty
 * documents are skipped, so that a file may be all comment.
 */
export function readYaml(file: string, text: string): { documents: SourceDocument[]; errors: SourceError[] } {
  if (Buffer.byteLength(text) > mostFileBytes) return { documents: [], errors: [`${file}: larger than 1 MiB; split it`] }
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, stringKeys: true, strict: true, schema: 'core', resolveKnownTags: false, version: '1.2', logLevel: 'silent', prettyErrors: false })
  const found = ('empty' in parsed ? [] : parsed).filter(({ contents, errors }) => errors.length > 0 || !isNothing(contents))
  const syntax = found.flatMap(({ errors, warnings }) =>
    [...errors, ...warnings].map(({ message, pos: [at] }) => `${file}:${lines.linePos(at).line}: ${message}`))
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
