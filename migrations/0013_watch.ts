import type { Knex } from 'knex'

/** How long the effect of a plan is watched is committed with it: no message shortens it. Null for plans of before. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table ledger.plan add column watch jsonb')
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
