import type { Knex } from 'knex'

/**
 * How far each policy may go in each namespace: a rung is a row, the newest of a place stands, and none ever changes.
 * Here because a demotion is one transaction with the ending that brought it about.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(rungs)
  await knex.raw(steps)
  await knex.raw(decisions)
  await knex.raw(entries)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const rungs = `
create table ledger.rung (
  rung_id uuid primary key,
  policy_id text not null,
  cluster text not null,
  namespace text not null,
  mode text not null check (mode in ('observe', 'suggest', 'approve', 'auto')),
  kind text not null check (kind in ('demoted', 'promoted')),
  reason text not null,
  evidence jsonb not null,
  remediation_id uuid references ledger.request,
  principal text not null,
  owner text not null,
  at timestamptz not null default clock_timestamp(),
  seq bigint not null generated always as identity
);
create unique index rung_once on ledger.rung (remediation_id, policy_id) where remediation_id is not null;
create index rung_standing on ledger.rung (cluster, namespace, policy_id, seq desc);

create trigger refuse_change before update or delete on ledger.rung for each row execute function ledger.refuse_change();
create trigger refuse_truncate before truncate on ledger.rung for each statement execute function ledger.refuse_change();
alter table ledger.rung enable always trigger refuse_change;
alter table ledger.rung enable always trigger refuse_truncate;

revoke all on ledger.rung from public;
grant select on ledger.rung to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant insert (rung_id, policy_id, cluster, namespace, mode, kind, reason, evidence, remediation_id, principal, owner)
  on ledger.rung to aegis_api, aegis_decision;
`

// Column rights cannot tell a step down from a step up: without the API nobody goes up, and nobody skips a rung.
const steps = `
create function ledger.guard_rung() returns trigger language plpgsql as $$
declare
  ladder constant text[] := array['observe', 'suggest', 'approve', 'auto'];
  stands text := (select g.mode from ledger.rung g where g.policy_id = new.policy_id and g.cluster = new.cluster
    and g.namespace = new.namespace order by g.seq desc limit 1);
  step integer := array_position(ladder, new.mode) - array_position(ladder, coalesce(stands, 'auto'));
begin
  if (new.kind = 'promoted' or new.remediation_id is null) and not pg_has_role(session_user, 'aegis_api', 'member') then
    raise exception '% may only demote, and only after a remediation', session_user using errcode = '42501';
  end if;
  if (new.kind = 'promoted' and step <> 1) or (new.kind = 'demoted' and step >= 0) then
    raise exception 'policy % stands at % and cannot be % to %', new.policy_id, coalesce(stands, 'auto'), new.kind, new.mode using errcode = 'AE006';
  end if;
  return new;
end $$;
create trigger guard_rung before insert on ledger.rung for each row execute function ledger.guard_rung();
alter table ledger.rung enable always trigger guard_rung;
`

// What capped a decision, and where each policy behind it stood: null for decisions of before.
const decisions = `
alter table ledger.decision add column autonomy jsonb;
create index request_by_hand on ledger.request (cluster, namespace, kind, name, action, accepted_at) where door in ('api', 'executor');
`

// The kinds of before keep their writers, whatever they are by now.
const entries = `
alter function ledger.may_append(text) rename to may_append_before_rungs;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind = 'demoted' then pg_has_role(session_user, 'aegis_decision', 'member') or pg_has_role(session_user, 'aegis_api', 'member')
    when kind = 'promoted' then pg_has_role(session_user, 'aegis_api', 'member')
    else ledger.may_append_before_rungs(kind)
  end
$$;
revoke all on function ledger.may_append(text), ledger.guard_rung() from public;
`
