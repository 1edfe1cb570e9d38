import type { Knex } from 'knex'

/** The audit record: one row per entry, never changed, never removed; docs/tables.md explains the columns. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(events)
  await knex.raw(guards)
  await knex.raw(partitions)
  await knex.raw(`select ledger.ensure_partitions(3)`)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

// The text is the evidence. Columns to search by are generated from it, so none can disagree with it.
const events = `
create table ledger.audit_event (
  event_id uuid not null primary key,
  epoch integer not null default 1,
  xid xid8 not null default pg_current_xact_id(),
  recorded_at timestamptz not null default now(),
  entry text not null check (octet_length(entry) <= 65536),
  stream text not null generated always as ((entry::json) ->> 'stream') stored,
  seq integer not null generated always as (((entry::json) ->> 'seq')::integer) stored,
  key text not null generated always as ((entry::json) ->> 'key') stored,
  kind text not null generated always as ((entry::json) ->> 'kind') stored,
  at text collate "C" not null generated always as ((entry::json) ->> 'at') stored,
  actor text not null generated always as ((entry::json) #>> '{actor,id}') stored,
  action text generated always as ((entry::json) #>> '{about,action}') stored,
  cluster text generated always as ((entry::json) #>> '{about,cluster}') stored,
  namespace text generated always as ((entry::json) #>> '{about,namespace}') stored,
  step text generated always as ((entry::json) #>> '{body,step}') stored,
  attempt integer generated always as (((entry::json) #>> '{body,attempt}')::integer) stored,
  outcome text generated always as ((entry::json) #>> '{body,outcome}') stored
) partition by range (event_id);

create index audit_event_at on ledger.audit_event (at, event_id);
create index audit_event_namespace on ledger.audit_event (namespace, at) where namespace is not null;

-- The tail of each stream. Whoever appends holds its row, so that no two entries claim one predecessor.
create table ledger.stream_head (
  stream text collate "C" primary key,
  seq integer not null,
  hash text,
  about text,
  last_at timestamptz not null
);
`

const guards = `
create function ledger.uuid_ms(id uuid) returns bigint language sql immutable strict parallel safe as $$
  select ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint
$$;

create function ledger.uuid_floor(ms bigint) returns uuid language sql immutable strict parallel safe as $$
  select (lpad(to_hex(ms), 12, '0') || repeat('0', 20))::uuid
$$;

-- An id far in the past or future would land in a partition that is sealed, archived or not made yet.
create function ledger.guard_event_time() returns trigger language plpgsql as $$
declare
  age_ms bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint - ledger.uuid_ms(new.event_id);
begin
  if age_ms > 30::bigint * 86400000 then
    raise exception 'the stream of entry % began more than 30 days ago', new.event_id using errcode = 'AE002';
  end if;
  if age_ms < -300000 then
    raise exception 'the id of entry % lies more than 5 minutes ahead of the database clock', new.event_id using errcode = 'AE003';
  end if;
  return new;
end $$;

create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger only grows: % on % is refused', tg_op, tg_table_name using errcode = 'AE004';
end $$;

create trigger guard_event_time before insert on ledger.audit_event
  for each row execute function ledger.guard_event_time();
create trigger refuse_change before update or delete on ledger.audit_event
  for each row execute function ledger.refuse_change();
create trigger refuse_truncate before truncate on ledger.audit_event
  for each statement execute function ledger.refuse_change();
alter table ledger.audit_event enable always trigger guard_event_time;
alter table ledger.audit_event enable always trigger refuse_change;
alter table ledger.audit_event enable always trigger refuse_truncate;
`

// Runs with the owner's rights, so that a worker that owns nothing can call it daily. Each partition is
// built aside and attached, which does not block writers, and gets the triggers that are not inherited.
const partitions = `
create function ledger.ensure_partitions(months_ahead integer) returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  month timestamp;
  name text;
begin
  if months_ahead not between 0 and 24 then
    raise exception 'months ahead must be 0 to 24, not %', months_ahead using errcode = 'AE006';
  end if;
  for month in
    select generate_series(this - interval '1 month', this + months_ahead * interval '1 month', interval '1 month')
    from date_trunc('month', now() at time zone 'UTC') as this
  loop
    name := 'audit_event_' || to_char(month, 'YYYY_MM');
    -- Asked of the catalogue itself: to_regclass may answer from before the neighbour's commit.
    continue when exists (select from pg_class where relnamespace = 'ledger'::regnamespace and relname = name);
    perform pg_advisory_xact_lock(hashtextextended('ledger.ensure_partitions', 0));
    continue when exists (select from pg_class where relnamespace = 'ledger'::regnamespace and relname = name);
    execute format('create table ledger.%I (like ledger.audit_event including all)', name);
    execute format('create unique index on ledger.%I (stream, seq)', name);
    execute format('alter table ledger.audit_event attach partition ledger.%I for values from (%L) to (%L)', name,
      ledger.uuid_floor((extract(epoch from month) * 1000)::bigint),
      ledger.uuid_floor((extract(epoch from month + interval '1 month') * 1000)::bigint));
    execute format('create trigger refuse_truncate before truncate on ledger.%I for each statement execute function ledger.refuse_change()', name);
    execute format('alter table ledger.%I enable always trigger refuse_truncate', name);
    return next to_char(month, 'YYYY_MM');
  end loop;
end $$;
`
