/** `tsx api/gen.ts` writes the generated files; with `--check` it only says whether they are what it would write. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { version } from '../adapters/version.ts'
import { policySchema } from '../domain/policy/schema.ts'
import { openApiDocument as documentOf } from './openapi.ts'
import { routes } from './routes.ts'

export const openApiDocument = () => documentOf(routes, version)

const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const generated: [file: URL, text: () => string][] = [
  [new URL('./openapi.json', import.meta.url), () => jsonText(openApiDocument())],
  [new URL('../policies/policy.schema.json', import.meta.url), () => jsonText(policySchema)],
]

const isFresh = ([file, text]: (typeof generated)[number]): boolean => {
  try {
    return readFileSync(file, 'utf8') === text()
  } catch {
    return false
  }
}

export const staleFiles = (): string[] => generated.filter((one) => !isFresh(one)).map(([file]) => fileURLToPath(file))

function main(args: readonly string[]): void {
  if (!args.includes('--check')) return generated.forEach(([file, text]) => writeFileSync(file, text()))
  for (const file of staleFiles()) {
    console.error(`${file} is not what the code says: run \`npm run gen\` and commit it`)
    process.exitCode = 1
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv.slice(2))
