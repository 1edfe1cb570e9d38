import { z } from 'zod'
import { isExempt } from './http-limits.ts'
import { rolesWith } from './permissions.ts'
import { problemSchema } from './problems.ts'
import { doorPaths, type Route } from './route.ts'

type Json = Record<string, unknown>

/** OpenAPI 3.1, from the schemas the server itself checks with. */
export function openApiDocument(routes: readonly Route[], version: string): Json & { openapi: string } {
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Aegis',
      version,
      description: 'Self-healing for Kubernetes. Every refusal is a problem document (RFC 9457) with a stable `code` and the next step.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key: `aegis_…`' },
        signature: { type: 'apiKey', in: 'header', name: 'Signature', description: 'An RFC 9421 signature, with `Signature-Input`, `Content-Digest` and `Aegis-Audience` (docs/signing.md)' },
      },
      parameters: {
        RequestId: { name: 'X-Request-Id', in: 'header', required: false, description: 'Comes back, stands in the log and in problem documents', schema: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,64}$' } },
      },
      responses: problemResponses(),
      schemas: { Problem: schemaOf(problemSchema, 'output') },
    },
  }
}

function operation(route: Route): Json {
  const { method, path, summary, description, tag, permission, stepUp, signed, body } = route
  const roles = permission === 'public' ? null : rolesWith(permission)
  const who = roles && `Permission \`${permission}\`: ${roles.join(', ')}.${stepUp ? " A person's login must be at most 5 minutes old." : ''}`
  return {
    operationId: operationId(method, path),
    summary,
    ...(description || who ? { description: [description, who].filter(Boolean).join(' ') } : {}),
    tags: [tag],
    security: roles ? [{ apiKey: [] }, ...(signed ? [{ signature: [] }] : [])] : [],
    parameters: parameters(route),
    ...(body ? { requestBody: { required: !acceptsNothing(body), content: { 'application/json': { schema: schemaOf(body, 'input') } } } } : {}),
    responses: responses(route),
  }
}

const acceptsNothing = (body: z.ZodType): boolean => body.safeParse({}).success

/** `post /api/v1/remediations/:id/approve` → `postV1RemediationsIdApprove`. */
const operationId = (method: string, path: string): string =>
  method + path.replace('/api', '').split(/[^A-Za-z0-9]+/).filter(Boolean).map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')

function parameters({ params, query, idempotent }: Route): Json[] {
  const header = { name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', minLength: 1, maxLength: 255 } }
  return [...members(params, 'path'), ...members(query, 'query'), ...(idempotent ? [header] : []), { $ref: '#/components/parameters/RequestId' }]
}

/** Types are those after parsing (`limit` is a number); what must be given is decided before it. */
function members(schema: z.ZodObject | null, place: 'path' | 'query'): Json[] {
  if (!schema) return []
  const required = schemaOf(schema, 'input')['required'] as string[] | undefined
  const properties = schemaOf(schema, 'output')['properties'] as Record<string, Json>
  return Object.entries(properties).map(([name, property]) => ({ name, in: place, required: required?.includes(name) ?? false, schema: property }))
}

function responses(route: Route): Json {
  const { output, produces } = route
  const good = Object.entries(output).map(([status, schema]) => [status, { description: words[status] ?? 'Done', content: { [mediaType(produces)]: { schema: schemaOf(schema, 'output') } } }])
  const bad = problemStatuses(route).map((status) => [status, { $ref: `#/components/responses/Problem${status}` }])
  return Object.fromEntries([...good, ...bad]) as Json
}

const mediaType = (produces: string): string => produces.split(';', 1)[0] ?? produces

const words: Record<string, string> = {
  200: 'Done',
  201: 'Made',
  202: 'Accepted: committed, not yet carried out',
  400: 'Makes no sense: `errors` names each field',
  401: 'No credential, or one that is not good',
  403: 'Not permitted',
  404: 'Not there',
  409: 'The state says no; `code` says why',
  410: 'Gone for good',
  413: 'The body is too large',
  415: 'The body is not JSON in UTF-8',
  429: 'Too many calls: `Retry-After` says when to come again',
  500: 'A bug; the log has the cause under the request id',
  503: 'Something Aegis depends on is away; what was to change may have changed: look first, or send it again with the same `Idempotency-Key`',
}

/** Which refusals a route can answer with, by what it takes. Whoever comes to a door has no credential to be refused yet, and may bring a bad one. */
function problemStatuses({ permission, path, params, body, output }: Route): string[] {
  const failed = ['500', ...(output[503] ? [] : ['503'])]
  const door = (doorPaths as readonly string[]).includes(path)
  if (permission === 'public' && !door) return [...(isExempt(path) ? [] : ['429']), ...failed]
  const named = params || body || door ? ['404'] : []
  const changed = params || body || door ? ['409'] : []
  const read = body ? ['413', '415'] : []
  return ['400', '401', '403', ...named, ...changed, ...(path.endsWith('/generate-signature') ? ['410'] : []), ...read, '429', ...failed]
}

const problemResponses = (): Json =>
  Object.fromEntries(
    Object.entries(words)
      .filter(([status]) => Number(status) >= 400)
      .map(([status, description]) => [
        `Problem${status}`,
        { description, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } },
      ]),
  )

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io }) as Json
  return rest
}
