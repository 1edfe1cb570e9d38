import type { Knex } from 'knex'

/** What was asked for, found, planned, decided and answered. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(requests)
  await knex.raw(judgement)
  await knex.raw(answers)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const requests = `
create table ledger.request (
  id uuid primary key,
  door text not null,
  principal jsonb not null,
  principal_id text not null,
  owner text not null,
  action text not null,
  cluster text not null,
  namespace text not null,
  kind text not null,
  name text not null,
  parameters jsonb not null,
  reason text not null,
  severity text not null,
  fault text,
  fingerprint text,
  starts_at text,
  attempt integer not null,
  idempotency_key text,
  body_digest text,
  accepted_at timestamptz not null default now(),
  deadline_ms bigint not null check (deadline_ms between 1 and 2592000000),
  deadline_at timestamptz not null,
  -- What changes: everything else is granted to nobody for update.
  phase text not null default 'accepted' check (phase in
    ('accepted', 'planning', 'awaiting_approval', 'waiting_turn', 'acting', 'verifying', 'undoing', 'closed')),
  started_at timestamptz,
  first_run_id text,
  resolved_at timestamptz,
  stop_attempts_at timestamptz,
  check ((fingerprint is null) = (starts_at is null)),
  check ((idempotency_key is null) = (body_digest is null))
);
create unique index request_idempotency on ledger.request (principal_id, idempotency_key) where idempotency_key is not null;
create unique index request_incident on ledger.request (fingerprint, starts_at, attempt) where fingerprint is not null;
-- One run at a time per alert, and per thing that many alerts point at.
create unique index request_open_alert on ledger.request (fingerprint) where fingerprint is not null and phase <> 'closed';
create unique index request_open_subject on ledger.request (cluster, namespace, kind, name, action)
  where fingerprint is not null and phase <> 'closed';
create index request_open on ledger.request (accepted_at) where phase <> 'closed';
create index request_namespace on ledger.request (namespace, id);
create index request_accepted on ledger.request (accepted_at);

-- Closed is for ever, and only beside its terminal row.
create function ledger.guard_phase() returns trigger language plpgsql as $$
begin
  if old.phase = 'closed' then
    new.phase := 'closed';
  elsif new.phase = 'closed' and not exists (select from ledger.terminal t where t.id = new.id) then
    raise exception 'remediation % has no terminal row', new.id using errcode = 'AE006';
  end if;
  return new;
end $$;
create trigger guard_phase before update of phase on ledger.request for each row execute function ledger.guard_phase();

-- Every alert that pointed at a remediation; its newest one per firing.
create table ledger.signal (
  fingerprint text not null,
  starts_at text not null,
  remediation_id uuid,
  labels_digest text not null,
  first_at timestamptz not null default now(),
  last_at timestamptz not null default now(),
  seen integer not null default 1,
  resolved_at timestamptz,
  primary key (fingerprint, starts_at)
);
create index signal_remediation on ledger.signal (remediation_id);
`

const judgement = `
create table ledger.plan (
  id uuid not null references ledger.request,
  digest text not null,
  plan text not null,
  baseline jsonb not null,
  observed_at timestamptz not null,
  saved_at timestamptz not null default now(),
  primary key (id, digest)
);

create table ledger.preflight (
  id uuid not null references ledger.request,
  digest text not null,
  card_digest text not null,
  card jsonb not null,
  refusal jsonb,
  at timestamptz not null default now(),
  primary key (id, digest, card_digest)
);

create table ledger.decision (
  decision_id uuid primary key,
  id uuid not null references ledger.request,
  plan_digest text not null,
  input text not null,
  decision text not null,
  proceed text not null check (proceed in ('act', 'ask', 'suggest', 'observe', 'deny')),
  answer_by timestamptz,
  decided_at timestamptz not null default now(),
  ordinal bigint not null generated always as identity
);
create index decision_latest on ledger.decision (id, ordinal);
`

const answers = `
create table ledger.answer (
  answer_id uuid primary key,
  id uuid not null references ledger.request,
  kind text not null check (kind in ('approve', 'reject', 'cancel', 'resolve')),
  principal jsonb not null,
  owner text not null,
  plan_digest text,
  comment text not null,
  at timestamptz not null default now(),
  delivered_at timestamptz,
  check (kind <> 'approve' or plan_digest is not null)
);
create index answer_of on ledger.answer (id, at);
create unique index answer_resolve on ledger.answer (id) where kind = 'resolve';
-- Four eyes are two owners: one owner approves a plan once.
create unique index answer_approve on ledger.answer (id, plan_digest, owner) where kind = 'approve';
create index answer_undelivered on ledger.answer (at) where delivered_at is null;
`
