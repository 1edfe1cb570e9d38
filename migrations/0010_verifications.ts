import type { Knex } from 'knex'

/**
 * What a verification saw is a row: a warrant to undo and the ending `healed` stand on it, and not on what a
 * message says. A card that comes out the same again becomes the newest, for a warrant to act stands on that one.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table ledger.verification (
      ordinal bigint primary key generated always as identity,
      id uuid not null references ledger.request,
      digest text not null,
      verdict text not null check (verdict in ('better', 'same', 'worse', 'unknown')),
      evidence text not null,
      at timestamptz not null default now()
    );
    create index verification_latest on ledger.verification (id, ordinal);
    revoke all on ledger.verification from public;
    grant select on ledger.verification to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
    grant insert (id, digest, verdict, evidence) on ledger.verification to aegis_execution;
    grant update (at) on ledger.preflight to aegis_execution;
  `)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
