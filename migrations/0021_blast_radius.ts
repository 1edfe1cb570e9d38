import type { Knex } from 'knex'

/**
 * What bounds the damage that a bug, a storm or an attacker could do: breakers of policies, workloads that are set
 * aside, freezes that are known ahead, and what of a workload the budgets go by.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(breakers)
  await knex.raw(windows)
  await knex.raw(seen)
  await knex.raw(tracking)
  await knex.raw(entries)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

// Opened in the transaction of the ending that was one too many; only a person closes it.
const breakers = `
create table ledger.breaker (
  breaker_id uuid primary key,
  policy_id text not null,
  reason text not null,
  evidence jsonb not null,
  remediation_id uuid not null references ledger.request,
  opened_at timestamptz not null default clock_timestamp(),
  closed_by text,
  close_reason text,
  closed_at timestamptz,
  check ((closed_at is null) = (closed_by is null))
);
create unique index breaker_open on ledger.breaker (policy_id) where closed_at is null;
create index breaker_of on ledger.breaker (policy_id, opened_at);

revoke all on ledger.breaker from public;
grant select on ledger.breaker to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant insert (breaker_id, policy_id, reason, evidence, remediation_id) on ledger.breaker to aegis_decision;
grant update (closed_by, close_reason, closed_at) on ledger.breaker to aegis_api;
`

// A null in the scope means any, as in ledger.freeze. The times are instants: what the caller wrote on a wall clock stands beside them.
const windows = `
create table ledger.freeze_window (
  window_id uuid primary key,
  cluster text,
  namespace text,
  action text,
  from_at timestamptz not null,
  to_at timestamptz not null,
  local_from text not null,
  local_to text not null,
  zone text not null,
  reason text not null,
  set_by text not null,
  set_at timestamptz not null default now(),
  cancelled_by text,
  cancelled_at timestamptz,
  check (from_at < to_at),
  check ((cancelled_at is null) = (cancelled_by is null))
);
create index freeze_window_ahead on ledger.freeze_window (to_at) where cancelled_at is null;

revoke all on ledger.freeze_window from public;
grant select on ledger.freeze_window to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant insert (window_id, cluster, namespace, action, from_at, to_at, local_from, local_to, zone, reason, set_by) on ledger.freeze_window to aegis_api;
grant update (cancelled_by, cancelled_at) on ledger.freeze_window to aegis_api;
`

// Null terms: a plan of before, of whose workload nothing is known. A person's release begins the flap guard's count anew.
const seen = `
alter table ledger.plan add column terms jsonb;
grant update (terms) on ledger.plan to aegis_decision;
alter table ledger.claim add column released_at timestamptz;
grant update (released_at) on ledger.claim to aegis_api;
`

// Per limit, how much of it is taken now. The truth is the reservation.
const tracking = `
create view ledger.rate_limit_tracking as
  select r.key, r.window_ms,
    coalesce(sum(r.amount) filter (where r.effect_at is null), 0)::bigint as pending,
    coalesce(sum(r.amount) filter (where r.effect_at is not null), 0)::bigint as used,
    min(r.effect_at) + r.window_ms * interval '1 ms' as room_comes_back_at
  from ledger.reservation r
  where r.released_at is null and (r.effect_at is null or r.effect_at > clock_timestamp() - r.window_ms * interval '1 ms')
  group by r.key, r.window_ms;

revoke all on ledger.rate_limit_tracking from public;
grant select on ledger.rate_limit_tracking to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
`

// The kinds of before keep their writers, whatever they are by now.
const entries = `
alter function ledger.may_append(text) rename to may_append_before_blast_radius;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('breaker_opened', 'quarantined') then pg_has_role(session_user, 'aegis_decision', 'member')
    when kind in ('breaker_closed', 'freeze_scheduled', 'freeze_cancelled') then pg_has_role(session_user, 'aegis_api', 'member')
    else ledger.may_append_before_blast_radius(kind)
  end
$$;
revoke all on function ledger.may_append(text) from public;
`
