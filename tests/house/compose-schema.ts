/**
 * The part of the Compose format that `docker-compose.yml` uses, and nothing beyond: a misspelt or
 * unknown key is a finding. JSON Schema, draft 2020-12; names follow the Compose reference.
 */
const name = '^[a-z0-9][a-z0-9._-]*$'
const text = { type: 'string', minLength: 1 } as const
const list = (items: object) => ({ type: 'array', minItems: 1, uniqueItems: true, items })
const record = (of: object, pattern: string = name) => ({ type: 'object', propertyNames: { pattern }, additionalProperties: of })
const object = (properties: Record<string, object>, required: readonly string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required: [...required],
})

const duration = { type: 'string', pattern: '^(?:\\d+h)?(?:\\d+m)?(?:\\d+s)?$', minLength: 2 }
const bytes = { type: 'string', pattern: '^\\d+[kmg]$' }
const command = { type: 'array', minItems: 1, items: text }

const healthcheck = object(
  {
    test: { type: 'array', minItems: 2, items: text, prefixItems: [{ enum: ['CMD', 'CMD-SHELL'] }] },
    interval: duration,
    timeout: duration,
    retries: { type: 'integer', minimum: 1 },
    start_period: duration,
  },
  ['test', 'interval', 'timeout', 'retries'],
)

const service = object(
  {
    image: text,
    build: object({ context: text, dockerfile: text }, ['context', 'dockerfile']),
    entrypoint: command,
    command,
    user: text,
    restart: { enum: ['no', 'unless-stopped'] },
    environment: record({ type: ['string', 'integer'] }, '^[A-Z][A-Z0-9_]*$'),
    ports: list({ type: 'string', pattern: ':\\d+$' }),
    volumes: list({ type: 'string', pattern: '^[^:]+:/[^:]+(?::ro)?$' }),
    tmpfs: list({ type: 'string', pattern: '^/' }),
    secrets: list(text),
    networks: list(text),
    depends_on: record(object({ condition: { enum: ['service_healthy', 'service_completed_successfully'] } }, ['condition'])),
    healthcheck,
    read_only: { type: 'boolean' },
    cap_drop: list(text),
    security_opt: list(text),
    init: { type: 'boolean' },
    mem_limit: bytes,
    shm_size: bytes,
    pids_limit: { type: 'integer', minimum: 1 },
    stop_grace_period: duration,
    logging: object({ driver: text, options: record(text) }, ['driver', 'options']),
  },
  ['image'],
)

export const composeSchema = {
  ...object(
    {
      name: { type: 'string', pattern: name },
      services: record(service),
      networks: record(object({ internal: { type: 'boolean' } })),
      volumes: record(object({})),
      secrets: record(object({ file: text }, ['file'])),
    },
    ['name', 'services'],
  ),
  patternProperties: { '^x-': {} },
}
