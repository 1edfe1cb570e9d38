/** Shapes that several routes share, with the words their errors use. */
import { z } from 'zod'
import { canonicalUsername } from '../domain/identity.ts'
import { actionNames, doors, faultClasses, modes, outcomes, phases, roles, severities, verdicts } from '../domain/remediation.ts'

const labelForm = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const nameForm = /^(?!.*(?:\.\.|\.-|-\.))[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

const labelRule = 'must be a Kubernetes name: at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends'
const nameRule = 'must be a Kubernetes name: at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends'

/** RFC 1123 label: clusters, namespaces. */
export const labelName = z.string().regex(labelForm, labelRule)
/** As the parser of policies has it. */
export const policyId = z.string().regex(labelForm, 'must be the id of a policy: at most 63 lower-case letters, digits and dashes')
/** RFC 1123 subdomain: pods, deployments. */
export const objectName = z.string().regex(nameForm, nameRule)

/** The name of an installation, as AEGIS_AUDIENCE has it. */
export const audienceForm = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/

export const action = z.enum(actionNames)
export const outcome = z.enum(outcomes)
export const phase = z.enum(phases)
export const verdict = z.enum(verdicts)
export const severity = z.enum(severities)
export const door = z.enum(doors)
export const role = z.enum(roles)
/** Null: in every cluster, in every namespace. */
export const binding = z.strictObject({ role, cluster: labelName.nullable(), namespace: labelName.nullable() })
export const fault = z.enum(faultClasses)
export const mode = z.enum(modes)

const replicasLimit = 1000
export const replicas = z.int().min(0).max(replicasLimit)
export const revision = z.int().min(1)
export const planDigest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be a plan digest: `sha256:` and 64 hex digits, as `GET /api/v1/remediations/:id` shows it')

/** The person behind a key. Four eyes compare owners, so every spelling of one is one. */
export const owner = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/, 'must name a person, such as ann@example.org').transform(canonicalUsername)

export const reason = z.string().trim().min(1).max(500)
export const comment = z.string().max(1000)

const instantRule = 'must be an ISO 8601 time with a zone, such as 2026-01-31T12:00:00Z'
const endOfYears = Date.UTC(10_000, 0)
const inOurTime = (text: string): boolean => Date.parse(text) >= 0 && Date.parse(text) < endOfYears

/** ISO 8601, UTC or with an offset. */
export const instant = z.iso.datetime({ offset: true, error: instantRule })
/** One that something is on record from: what lies before 1970, or has five digits, no table of ours knows. */
export const recordInstant = instant.refine(inOurTime, 'must lie between 1970 and 9999')

export const id = z.uuid({ error: 'must be a remediation id (a UUID)' })
export const idParams = z.strictObject({ id })

export const target = z.strictObject({ cluster: z.string(), namespace: z.string(), kind: z.enum(['Pod', 'Deployment']), name: z.string() })

/** At most 200 rows a page; `next` of one page is the `cursor` of the following. */
const pageLimit = 200
export const paging = {
  limit: z
    .string()
    .regex(/^[1-9]\d{0,2}$/, `must be a whole number from 1 to ${pageLimit}`)
    .pipe(z.coerce.number<string>().int().max(pageLimit))
    .default(50),
  cursor: z.string().min(1).max(200).optional(),
}

export const page = <Item extends z.ZodType>(item: Item) => z.strictObject({ items: z.array(item), next: z.string().nullable() })

/** Without the members that are undefined, which is what an absent query parameter parses to. */
export type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> }
export const given = <T extends object>(value: T): Given<T> =>
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Given<T>
