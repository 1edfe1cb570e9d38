import { Failure } from '../domain/failure.ts'
import type { DecisionDeps, Store } from './deps.ts'

type Found<Row> = NonNullable<Awaited<Row>>
type Facts = Found<ReturnType<Store['factsForDecision']>>

/** The committed rows. What a task says of itself proves nothing. */
export async function loadRequest({ db, store }: Pick<DecisionDeps, 'db' | 'store'>, id: string): Promise<Found<ReturnType<Store['loadRequest']>>> {
  return accepted(id, await store.loadRequest(db, id))
}

/** The request and this plan of it. */
export async function loadPlanned({ db, store }: Pick<DecisionDeps, 'db' | 'store'>, id: string, digest: string) {
  const { plan, ...facts }: Facts = accepted(id, await store.factsForDecision(db, id, digest))
  return { ...facts, plan: planned(id, digest, plan) }
}

/** Of the act and of its undo, as far as they are on record. */
export const loadIntents = ({ db, store }: Pick<DecisionDeps, 'db' | 'store'>, id: string) =>
  Promise.all([store.loadIntent(db, id, 'act'), store.loadIntent(db, id, 'undo')])

function accepted<Row>(id: string, row: Row | undefined): Row {
  if (!row) throw new Failure('missing', 'request_missing', `there is no accepted request \`${id}\``)
  return row
}

export function planned<Row>(id: string, digest: string, row: Row | undefined): Row {
  if (!row) throw new Failure('missing', 'plan_missing', `remediation \`${id}\` has no plan \`${digest}\``)
  return row
}
