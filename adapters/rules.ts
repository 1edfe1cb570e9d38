import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { canonicalJson } from '../domain/canonical.ts'
import { Failure } from '../domain/failure.ts'
import { parseRules } from '../domain/rules/parse.ts'
import type { RuleSet } from '../domain/rules/rule.ts'
import { mostFileBytes, problemText, readYaml } from './policies/yaml.ts'

/**
 * The rules of one YAML file. Rejects with `Failure('invalid', 'rules_invalid')`, whose message has a
 * line `file:line: path: message` for each error.
 */
export async function loadRules(file: string): Promise<RuleSet> {
  return readRules(basename(file), await textOf(file))
}

export function readRules(name: string, text: string): RuleSet {
  const { documents, errors } = readYaml(name, text, mostFileBytes)
  const [source] = documents
  if (errors.length > 0) throw invalid(errors)
  if (!source || documents.length > 1) throw invalid([`${name}: expected one document, found ${documents.length}`])
  const { file, problems } = parseRules(source.value)
  if (!file) throw invalid(problems.map(({ path, message }) => problemText(source, path, message)))
  const hash = `sha256:${createHash('sha256').update(canonicalJson(file)).digest('hex')}`
  return { version: file.version, hash, rules: file.rules }
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw invalid([`cannot read the rules in \`${file}\` (${(error as NodeJS.ErrnoException).code}); check the path and its permissions`])
  }
}

const invalid = (errors: readonly string[]): Failure => new Failure('invalid', 'rules_invalid', errors.join('\n'))
