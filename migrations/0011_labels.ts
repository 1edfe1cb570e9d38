import type { Knex } from 'knex'

/** The labels that policies ask for are kept beside the plan they were seen with, as the baseline is. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table ledger.plan add column labels jsonb not null default '{"workload": {}, "namespace": null}';
    grant update (labels) on ledger.plan to aegis_decision;
  `)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
