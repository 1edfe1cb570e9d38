import { estateDocuments } from '../policy-workload.ts'

/** Concerns every decision there is. */
const everywhere = (replicas: number) => ({
  apiVersion: 'aegis.dev/policy/v1',
  id: 'everywhere',
  effect: 'deny',
  actions: ['*'],
  resources: ['**'],
  when: { attr: 'request.replicas', op: 'gte', value: replicas },
})

export const policyCount = 1_000
const estate = estateDocuments(policyCount - 1)

export const inForce: readonly object[] = [...estate, everywhere(19)]

/** Every hundredth policy asks for the highest severity, so that some of what it decides comes out otherwise. */
const hundredth = estate.map((document, place) =>
  place % 100 === 50 ? { ...document, when: { all: [{ attr: 'context.severity', op: 'eq', value: 'critical' }] } } : document)

export const candidates = {
  'one policy in a hundred changed': [...hundredth, everywhere(19)],
  'a policy changed that concerns every decision': [...estate, everywhere(15)],
} satisfies Record<string, readonly object[]>

export type CandidateName = keyof typeof candidates
export const candidateNames = Object.keys(candidates) as CandidateName[]
