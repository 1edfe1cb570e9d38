/** The decision point in the words of OpenID AuthZEN 1.0: a second door to the same policies. */
import { z } from 'zod'
import { tzdataVersion } from '../adapters/policies/zones.ts'
import { requestTypes, type Facts, type PolicyInput } from '../domain/policy/input.ts'
import type { Area } from '../domain/identity.ts'
import type { Principal } from '../domain/remediation.ts'
import { allows } from './permissions.ts'
import { areaOf, asked } from './policy-question.ts'
import { fieldErrors } from './fields.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Policy'

const properties = z.record(z.string().max(256), z.unknown()).default({})
const word = z.string().min(1).max(256)

const subject = z.object({ type: word, id: word, properties: z.object({ roles: z.array(shape.role).max(10).default([]), owner: word.optional() }).default({ roles: [] }) })
const action = z.object({ name: word, properties })
const resource = z.object({ type: word, id: z.string().min(1).max(1024), properties })
const context = z.record(z.string().max(256), z.unknown())

const question = z.object({ subject, action, resource, context: context.default({}) })
type Question = z.output<typeof question>
/** What it leaves out is what all share, so nothing in it may have a default of its own. */
const partOfQuestion = z.object({ subject, action, resource, context }).partial()

const answer = z.strictObject({ decision: z.boolean(), context: z.strictObject({ code: z.string(), reason: z.string() }) })
type Answer = z.infer<typeof answer>

const evaluation = route({
  method: 'post',
  path: '/access/v1/evaluation',
  permission: 'policy:evaluate',
  scope: 'anywhere',
  summary: 'AuthZEN: may this subject do this?',
  description: 'Who is not the subject itself needs the permission to ask for others; the subject\'s roles are then its word, and both are on record. `action.properties` count as `request`, `resource.properties` as `target`. An approval that is still wanted is no yes.',
  tag,
  body: question,
  output: { 200: answer },
  handle: async ({ deps, principal, body }) => reply(200, await answered(deps, principal, body)),
})

const semantics = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const
const mostEvaluations = 100

const evaluations = route({
  method: 'post',
  path: '/access/v1/evaluations',
  permission: 'policy:evaluate',
  scope: 'anywhere',
  summary: 'AuthZEN: several questions at once, with what they share said once',
  description: 'Without `evaluations` it is the one question that is shared, and answers as that.',
  tag,
  body: partOfQuestion.extend({
    evaluations: z.array(partOfQuestion).max(mostEvaluations).default([]),
    options: z.object({ evaluations_semantic: z.enum(semantics).default('execute_all') }).default({ evaluations_semantic: 'execute_all' }),
  }),
  output: { 200: z.union([z.strictObject({ evaluations: z.array(answer) }), answer]) },
  handle: async ({ deps, principal, body }) => {
    const { evaluations: given, options, ...shared } = body
    if (given.length === 0) return reply(200, await answered(deps, principal, whole(shared)))
    const questions = given.map((each, at) => whole({ ...shared, ...shape.given(each) }, at))
    const answers: Answer[] = []
    for (const each of questions) {
      const one = await answered(deps, principal, each)
      answers.push(one)
      if (one.decision === stopsAt[options.evaluations_semantic]) break
    }
    return reply(200, { evaluations: answers })
  },
})

const stopsAt: Record<(typeof semantics)[number], boolean | null> = { execute_all: null, deny_on_first_deny: false, permit_on_first_permit: true }

function whole(parts: object, at?: number): Question {
  const { success, data, error } = question.safeParse(parts)
  if (success) return data
  const place = at === undefined ? '' : `evaluations[${at}].`
  throw fieldProblem('bad_request', fieldErrors(error.issues, parts).map(({ field, message }) => ({ field: `${place}${field}`, message })))
}

async function answered(deps: ApiDeps, by: Principal, given: Question): Promise<Answer> {
  const { allowed, code, message } = await asked(deps, by, inputOf(given, by))
  return { decision: allowed, context: { code, reason: message } }
}

function inputOf({ subject: about, action: wanted, resource: on, context: facts }: Question, by: Principal): PolicyInput {
  const resourceText = /^(k8s|api):/.test(on.id) ? on.id : `${on.type}:${on.id}`
  return {
    principal: principalOf(about, by, areaOf({ resource: resourceText, context: facts as Facts })),
    action: wanted.name,
    resource: resourceText,
    type: resourceText.startsWith('api:') ? requestTypes[1] : requestTypes[0],
    context: facts as Facts,
    request: wanted.properties as Facts,
    target: on.properties as Facts,
    history: {},
    approvals: [],
    now: Date.now(),
    tzdata: tzdataVersion,
  }
}

function principalOf({ type, id, properties: { roles, owner } }: Question['subject'], by: Principal, area: Area): Principal {
  if (id === by.id || id === by.owner) return by
  if (!allows(by, 'policy:evaluate-others', area)) {
    throw new HttpProblem({ status: 403, code: 'other_subject', detail: `\`${by.id}\` may ask for itself alone, not for \`${id}\``, nextStep: `ask with \`subject.id\` \`${by.id}\`, or with a key of a service or an admin` })
  }
  return { id, kind: type === 'user' ? 'person' : 'service', owner: owner ?? id, roles }
}

export const authzenRoutes: Route[] = [evaluation, evaluations]
