import type { Knex } from 'knex'

/** A freeze that was known ahead is kept by the clusters themselves too: their guards read when it begins and ends. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('grant select on ledger.freeze_window to aegis_guard')
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
