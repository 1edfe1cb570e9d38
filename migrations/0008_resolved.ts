import type { Knex } from 'knex'

/** That every alert behind a remediation has stopped is an entry of its own, for the doors alerts come through. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create or replace function ledger.may_append(kind text) returns boolean language sql stable as $$
      select case
        when kind in ('planned', 'decision', 'reserved', 'warrant', 'closed') then pg_has_role(session_user, 'aegis_decision', 'member')
        when kind in ('preflight', 'intent', 'attempt', 'fencing', 'settled') then pg_has_role(session_user, 'aegis_execution', 'member')
        when kind in ('answer', 'answer_refused', 'freeze_set', 'freeze_lifted', 'claim_released', 'key_created', 'key_revoked')
          then pg_has_role(session_user, 'aegis_api', 'member')
        when kind = 'resolved' then pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_watcher', 'member')
        when kind = 'requested' then pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_decision', 'member')
          or pg_has_role(session_user, 'aegis_watcher', 'member')
        else true
      end
    $$`)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
