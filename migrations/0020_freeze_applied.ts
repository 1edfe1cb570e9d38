import type { Knex } from 'knex'

/**
 * A freeze may name a policy; and each cluster's guard says when that cluster itself refuses, and when it admits again.
 * A guard may know of a freeze that this database has lost (a restore): that is a row of `freeze_applied` alone.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(role)
  await knex.raw(policies)
  await knex.raw(applied)
  await knex.raw(rights)
  await knex.raw(entries)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const role = `
do $$
begin
  if not exists (select from pg_roles where rolname = 'aegis_guard') then
    begin
      create role aegis_guard nologin;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
end $$`

const policies = `
alter table ledger.freeze add column policy text;
drop index ledger.freeze_active;
create unique index freeze_active on ledger.freeze (coalesce(cluster, ''), coalesce(namespace, ''), coalesce(action, ''), coalesce(policy, ''))
  where lifted_at is null;

create function ledger.tell_freeze() returns trigger language plpgsql as $$
begin
  perform pg_notify('aegis_freeze', new.freeze_id::text);
  return null;
end $$;
create trigger tell after insert or update on ledger.freeze for each row execute function ledger.tell_freeze();
revoke all on function ledger.tell_freeze() from public;
`

// No reference to ledger.freeze: what a restore has lost has no row there.
const applied = `
create table ledger.freeze_applied (
  freeze_id uuid not null,
  cluster text not null,
  frozen_at timestamptz,
  kept_at timestamptz,
  kept_keys text[],
  lifted_at timestamptz,
  primary key (freeze_id, cluster),
  check (frozen_at is not null or kept_at is not null)
);
create index freeze_applied_standing on ledger.freeze_applied (cluster) where lifted_at is null;
`

const rights = `
revoke all on ledger.freeze_applied from public;
grant select on ledger.freeze_applied to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader, aegis_guard;
grant insert (freeze_id, cluster, frozen_at, kept_at, kept_keys) on ledger.freeze_applied to aegis_guard;
grant update (frozen_at, kept_at, kept_keys, lifted_at) on ledger.freeze_applied to aegis_guard;

grant insert (policy, lifted_by, lifted_at) on ledger.freeze to aegis_api;

grant usage on schema ledger to aegis_guard;
grant select on ledger.freeze, ledger.migrations to aegis_guard;
grant select (id, phase, warrant_id, action, cluster, namespace, state) on ledger.intent to aegis_guard;
grant select (warrant_id, decision_id) on ledger.warrant to aegis_guard;
grant select (decision_id, decision) on ledger.decision to aegis_guard;
grant execute on function ledger.uuid_ms(uuid), ledger.uuid_floor(bigint), ledger.entry_id(bigint, text, text) to aegis_guard;
grant execute on function ledger.append(text, text, text, text, text, text) to aegis_guard;
`

// The kinds of before keep their writers, whatever they are by now.
const entries = `
alter function ledger.may_append(text) rename to may_append_before_guards;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('freeze_applied', 'freeze_kept', 'freeze_thawed') then pg_has_role(session_user, 'aegis_guard', 'member')
    else ledger.may_append_before_guards(kind)
  end
$$;
revoke all on function ledger.may_append(text) from public;
`
