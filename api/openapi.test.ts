import { Ajv2020 } from 'ajv/dist/2020.js'
import { openApiDocument, staleFiles } from './gen.ts'
import { doorPaths, publicPaths } from './route.ts'
import { routes } from './routes.ts'

type Json = Record<string, unknown>
const document = openApiDocument() as unknown as { openapi: string; paths: Record<string, Record<string, Operation>>; components: Record<string, Json> }
type Operation = {
  operationId: string
  security: Json[]
  parameters: ({ name: string; in: string; required: boolean; schema: Json } | { $ref: string })[]
  requestBody?: { content: Record<string, { schema: Json }> }
  responses: Record<string, { $ref: string } | { description: string; content: Record<string, { schema: Json }> }>
}

const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))

test('the generated files are what the code says', () => expect(staleFiles()).toEqual([]))

test('every route is in the document, and nothing else', () => {
  const declared = routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
  expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(declared.sort())
})

test('operation ids are unique', () => {
  const ids = operations.map(({ operation }) => operation.operationId)
  expect(new Set(ids).size).toBe(ids.length)
})

test('path parameters are those of the path, and required', () => {
  for (const { path, operation } of operations) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    const described = operation.parameters.flatMap((one) => ('in' in one && one.in === 'path' ? [one] : []))
    expect(described.map(({ name }) => name)).toEqual(named)
    expect(described.every(({ required }) => required)).toBe(true)
  }
})

test('every schema in it is valid JSON Schema 2020-12 that compiles', () => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, discriminator: false, formats: { uuid: true, 'date-time': true } })
  const schemas = operations.flatMap(({ operation }) => [
    ...operation.parameters.flatMap((one) => ('schema' in one ? [one.schema] : [])),
    ...Object.values(operation.requestBody?.content ?? {}).map(({ schema }) => schema),
    ...Object.values(operation.responses).flatMap((one) => ('content' in one ? Object.values(one.content).map(({ schema }) => schema) : [])),
  ])
  expect(schemas.length).toBeGreaterThan(50)
  for (const schema of schemas) expect(() => ajv.compile(schema)).not.toThrow()
})

test('every reference inside it leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path ?? '')
  expect(references.length).toBeGreaterThan(20)
  for (const path of references) {
    const found = path.split('/').reduce<unknown>((value, key) => (value as Json | undefined)?.[key], document)
    expect([path, found !== undefined]).toEqual([path, true])
  }
})

test('only health, metrics, public keys, the document itself and the ways in need no credential', () => {
  const open = operations.filter(({ operation }) => operation.security.length === 0).map(({ path }) => path)
  expect(open.sort()).toEqual([...publicPaths, ...doorPaths].sort())
})
