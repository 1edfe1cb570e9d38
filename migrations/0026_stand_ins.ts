import type { Knex } from 'knex'

/**
 * Who speaks for a group besides its members: whom somebody handed their voice to, and whom it comes to when nobody of
 * the group answers. What an approval stood for at its moment is kept with it, so that later changes do not bend it.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(delegations)
  await knex.raw(escalations)
  await knex.raw(answers)
  await knex.raw(entries)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

// Beside the accounts, whose groups it is about. What was given stays as it was given; it only ends, once.
const delegations = `
create table control.delegations (
  delegation_id uuid primary key,
  from_user uuid not null references control.users,
  to_user uuid not null references control.users,
  from_at timestamptz not null,
  until_at timestamptz not null,
  reason text not null,
  given_by text not null,
  given_at timestamptz not null default clock_timestamp(),
  revoked_by text,
  revoked_at timestamptz,
  constraint another_person check (from_user <> to_user),
  constraint bounded check (from_at < until_at and until_at <= from_at + interval '720 hours'),
  check ((revoked_at is null) = (revoked_by is null))
);
create index delegation_to on control.delegations (to_user, until_at) where revoked_at is null;
create index delegation_from on control.delegations (from_user, until_at) where revoked_at is null;

create function control.guard_delegation() returns trigger language plpgsql as $$
begin
  if old.revoked_at is not null then
    raise exception 'delegation % was ended and stays so', old.delegation_id using errcode = 'AE006';
  end if;
  return new;
end $$;
create trigger guard_end before update on control.delegations for each row execute function control.guard_delegation();
alter table control.delegations enable always trigger guard_end;

revoke all on control.delegations from public;
grant select on control.delegations to aegis_api;
grant insert (delegation_id, from_user, to_user, from_at, until_at, reason, given_by) on control.delegations to aegis_api;
grant update (revoked_by, revoked_at) on control.delegations to aegis_api;
`

// One rule a group. That one came into effect while a remediation waited is a row of its own, once.
const escalations = `
create table ledger.escalation_rule (
  group_name text primary key check (group_name <> to_group),
  to_group text not null,
  after_ms bigint not null check (after_ms between 60000 and 86400000),
  set_by text not null,
  set_at timestamptz not null default clock_timestamp()
);

create table ledger.escalation (
  id uuid not null references ledger.request,
  plan_digest text not null,
  group_name text not null,
  to_group text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (id, plan_digest, group_name, to_group)
);

revoke all on ledger.escalation_rule, ledger.escalation from public;
grant select on ledger.escalation_rule, ledger.escalation to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant insert (group_name, to_group, after_ms, set_by), update (to_group, after_ms, set_by, set_at), delete on ledger.escalation_rule to aegis_api;
grant insert (id, plan_digest, group_name, to_group) on ledger.escalation to aegis_decision;
`

// As [{group, because, from}].
const answers = `
alter table ledger.answer add column stands_for jsonb not null default '[]'
  check (jsonb_typeof(stands_for) = 'array' and (kind = 'approve' or stands_for = '[]'));
grant insert (stands_for) on ledger.answer to aegis_api;
`

// The kinds of before keep their writers, whatever they are by now.
const entries = `
alter function ledger.may_append(text) rename to may_append_before_stand_ins;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('delegation_given', 'delegation_revoked', 'escalation_set', 'escalation_removed') then pg_has_role(session_user, 'aegis_api', 'member')
    when kind = 'approval_escalated' then pg_has_role(session_user, 'aegis_decision', 'member')
    else ledger.may_append_before_stand_ins(kind)
  end
$$;
revoke all on function ledger.may_append(text), control.guard_delegation() from public;
`
