import type { Knex } from 'knex'

/** A simulation reads decisions in the order in which they were made, page by page, from any day on. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create index decision_time on ledger.decision (decided_at, decision_id)')
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
