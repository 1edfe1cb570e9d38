import type { Knex } from 'knex'

/**
 * Every kind of entry has its writers, and no other kind is one. What readers cannot hold is no entry. A remediation
 * that was forgotten for longer than 30 days still gets its ending.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(kinds)
  await knex.raw(readable)
  await knex.raw(eventTime)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const kinds = `
create or replace function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('planned', 'decision', 'reserved', 'handed_off', 'warrant', 'closed') then pg_has_role(session_user, 'aegis_decision', 'member')
    when kind in ('preflight', 'intent', 'attempt', 'fencing', 'settled', 'verified') then pg_has_role(session_user, 'aegis_execution', 'member')
    when kind in ('answer', 'answer_refused', 'request_refused', 'freeze_set', 'freeze_lifted', 'claim_released', 'key_created', 'key_revoked')
      then pg_has_role(session_user, 'aegis_api', 'member')
    when kind = 'step' then pg_has_role(session_user, 'aegis_decision', 'member') or pg_has_role(session_user, 'aegis_execution', 'member')
    when kind = 'resolved' then pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_watcher', 'member')
    when kind = 'requested' then pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_decision', 'member')
      or pg_has_role(session_user, 'aegis_watcher', 'member')
    else false
  end
$$;
`

// Columns are read as json, which takes numbers of any length; whoever lists entries reads them as jsonb, and one that
// cannot be read would fail the list for ever. Not asked of what is stored already: that is never changed.
const readable = `
alter table ledger.audit_event add constraint entry_readable check (jsonb_typeof(entry::jsonb) = 'object') not valid;
`

// The month of an old stream may be sealed, so nothing begins there and nothing goes on, but an open remediation
// keeps its month open until it has ended. The kind is read from the text: generated columns come after this.
const eventTime = `
create or replace function ledger.guard_event_time() returns trigger language plpgsql as $$
declare
  age_ms bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint - ledger.uuid_ms(new.event_id);
begin
  if age_ms > 30::bigint * 86400000 and new.entry::json ->> 'kind' is distinct from 'closed' then
    raise exception 'the stream of entry % began more than 30 days ago', new.event_id using errcode = 'AE002';
  end if;
  if age_ms < -300000 then
    raise exception 'the id of entry % lies more than 5 minutes ahead of the database clock', new.event_id using errcode = 'AE003';
  end if;
  return new;
end $$;
`
