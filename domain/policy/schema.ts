import { modes, roles } from '../remediation.ts'
import { bounds } from './bounds.ts'
import { apiVersion, days, effects, enforcements, operators, type Operator } from './document.ts'
import { requestTypes } from './input.ts'
import { valueShape, type ValueShape } from './operators.ts'

type Schema = { [keyword: string]: unknown }

const text: Schema = { type: 'string', minLength: 1, maxLength: bounds.textLength }
const oneOf = (words: readonly string[]): Schema => ({ enum: [...words] })
const list = (items: Schema, maxItems: number = bounds.listItems): Schema => ({ type: 'array', items, minItems: 1, maxItems })
const wholeNumber = (minimum: number, maximum: number): Schema => ({ type: 'integer', minimum, maximum })
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] })
const record = (properties: Record<string, Schema>, required: readonly string[] = []): Schema =>
  ({ type: 'object', properties, ...(required.length > 0 ? { required: [...required] } : {}), additionalProperties: false })

const scalar: Schema = { type: ['string', 'number', 'boolean'] }
const ordered: Schema = { type: ['string', 'number'] }
const valueSchema: Record<Exclude<ValueShape, 'none'>, Schema> = {
  scalar, scalars: list(scalar), ordered, pair: { type: 'array', items: ordered, minItems: 2, maxItems: 2 }, text, glob: text, cidr: text,
}

const withShape = (shape: ValueShape): Operator[] => operators.filter((op) => valueShape[op] === shape)

/** One form for all operators that compare with the same kind of value. */
const attributeForms: Schema[] = (['none', ...Object.keys(valueSchema)] as ValueShape[]).map((shape) => {
  const named = { attr: { $ref: '#/$defs/attribute' }, op: oneOf(withShape(shape)) }
  return shape === 'none' ? record(named, ['attr', 'op']) : record({ ...named, value: valueSchema[shape] }, ['attr', 'op', 'value'])
})

const condition: Schema = { $ref: '#/$defs/condition' }
const conditions: Schema = { type: 'array', items: condition, maxItems: bounds.listItems }
const duration: Schema = { type: 'string', pattern: '^[1-9][0-9]{0,6}[smhd]$' }
const timeOfDay: Schema = { type: 'string', pattern: '^([01][0-9]|2[0-4]):[0-5][0-9]$' }
const localTime: Schema = { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$' }
const chosenDays = list(oneOf(days))

const obligations = record({
  minApprovals: wholeNumber(1, 10), approverGroups: list(text, 32), approverRoles: list(oneOf(roles)), approvalTtl: duration,
  maxReplicas: wholeNumber(0, 1000), maxPercent: { type: 'number', minimum: 0, maximum: 100 }, ttl: duration, cooldown: duration,
  dryRunFirst: { type: 'boolean' }, verifyAfter: { type: 'boolean' }, rollbackOnFailure: { type: 'boolean' }, undoOn: list(oneOf(['same'])), notify: list(text, 32),
})

const definitions: Record<string, Schema> = {
  attribute: { ...text, description: 'a fact: principal., context., request., target. or history., or action, resource, type' },
  condition: {
    oneOf: [
      ...attributeForms,
      record({ time: { oneOf: [record({ zone: text, windows: list({ $ref: '#/$defs/window' }, bounds.windows) }, ['zone', 'windows']), record({ zone: text, from: localTime, to: localTime }, ['zone', 'from', 'to'])] } }, ['time']),
      record({ cel: { type: 'string', minLength: 1, maxLength: bounds.expressionLength } }, ['cel']),
      record({ all: conditions }, ['all']), record({ any: conditions }, ['any']), record({ not: condition }, ['not']),
    ],
  },
  window: { oneOf: [record({ days: chosenDays, from: timeOfDay, to: timeOfDay }, ['from', 'to']), record({ days: chosenDays, allDay: { const: true } }, ['allDay'])] },
}

/**
 * The shape of a policy as JSON Schema 2020-12, for editors and other tools. Whatever is read satisfies it; what it
 * cannot say (zones that exist, expressions that compile, how much one document may hold) reading refuses besides.
 */
export const policySchema: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:aegis:schema:policy:v1',
  title: 'Aegis policy',
  ...record(
    {
      apiVersion: { const: apiVersion },
      id: { type: 'string', pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' },
      name: orNull(text),
      effect: oneOf(effects),
      enforcement: { ...oneOf(enforcements), default: 'enforce' },
      mode: { ...oneOf(modes), default: 'auto' },
      type: list(oneOf(requestTypes)),
      priority: { ...wholeNumber(-1_000_000, 1_000_000), default: 100 },
      actions: list(text),
      resources: list(text),
      when: condition,
      unless: condition,
      obligations,
      validity: record({ notBefore: orNull(text), notAfter: orNull(text) }),
      message: orNull(text),
      owner: orNull(text),
      labels: { type: 'object', additionalProperties: text, maxProperties: bounds.labels },
    },
    ['apiVersion', 'id', 'effect', 'actions', 'resources'],
  ),
  // A deny obliges nobody and grants no autonomy; only a question to people has terms for them.
  allOf: [
    { if: { properties: { effect: { const: 'deny' } } }, then: { properties: { obligations: { maxProperties: 0 }, mode: { const: 'auto' } } } },
    { if: { properties: { effect: { const: 'allow' } } }, then: { properties: { obligations: { properties: { minApprovals: false, approverGroups: false, approverRoles: false, approvalTtl: false } } } } },
  ],
  $defs: definitions,
}
