/** `tsx api/gen.ts` writes api/openapi.json; with `--check` it only says whether the file is what it would write. */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { version } from '../adapters/version.ts'
import { openApiDocument as documentOf } from './openapi.ts'
import { routes } from './routes.ts'

const file = new URL('./openapi.json', import.meta.url)

export const openApiDocument = () => documentOf(routes, version)

export const openApiText = (): string => `${JSON.stringify(openApiDocument(), null, 2)}\n`

export function isFresh(): boolean {
  try {
    return readFileSync(file, 'utf8') === openApiText()
  } catch {
    return false
  }
}

function main(args: readonly string[]): void {
  if (!args.includes('--check')) return writeFileSync(file, openApiText())
  if (isFresh()) return
  console.error('api/openapi.json is not what the routes say: run `npm run gen` and commit it')
  process.exitCode = 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv.slice(2))
