import type { Knex } from 'knex'

/** Who may ask. Keys are stored as hashes of 256 random bits, which need no slow hash. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create schema if not exists control;
    create table control.api_key (
      key_id uuid primary key,
      name text not null,
      prefix text not null unique,
      hash text not null unique check (hash ~ '^[0-9a-f]{64}$'),
      roles text[] not null check (cardinality(roles) > 0 and roles <@ array['admin', 'user', 'approver', 'auditor', 'service']),
      owner text not null,
      created_by text not null,
      created_at timestamptz not null default now(),
      expires_at timestamptz,
      revoked_at timestamptz
    )`)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
