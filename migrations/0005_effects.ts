import type { Knex } from 'knex'

/** What stands between a decision and the cluster, and how it ended. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(room)
  await knex.raw(permission)
  await knex.raw(endings)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const room = `
-- A null in the scope means any. The kill switch is a table of its own and never a policy.
create table ledger.freeze (
  freeze_id uuid primary key,
  cluster text,
  namespace text,
  action text,
  reason text not null,
  set_by text not null,
  set_at timestamptz not null default now(),
  lifted_by text,
  lifted_at timestamptz
);
create unique index freeze_active on ledger.freeze (coalesce(cluster, ''), coalesce(namespace, ''), coalesce(action, ''))
  where lifted_at is null;

-- One per top owning workload. The token rises with every holder, so a former one is told apart.
create table ledger.claim (
  cluster text not null,
  namespace text not null,
  kind text not null,
  name text not null,
  workload_uid text not null,
  token bigint not null default 0,
  state text not null default 'free' check (state in ('free', 'held', 'kept')),
  holder uuid,
  action text,
  since timestamptz,
  primary key (cluster, namespace, kind, name),
  check ((state = 'free') = (holder is null))
);
create index claim_holder on ledger.claim (holder) where holder is not null;
create index claim_held on ledger.claim (cluster, namespace) where state = 'held';

-- Asked for while another run of the same action held the claim. Its holder's close reads it.
create table ledger.handoff (
  from_id uuid primary key references ledger.request,
  into_id uuid not null references ledger.request,
  at timestamptz not null default now(),
  read_at timestamptz,
  became uuid
);
create index handoff_unread on ledger.handoff (into_id) where read_at is null;

-- Room in a limit. It is held until the effect's time plus the window; without a time it is pending.
create table ledger.reservation (
  id uuid not null references ledger.request,
  phase text not null check (phase in ('act', 'undo')),
  key text not null,
  amount integer not null default 1 check (amount > 0),
  window_ms bigint not null,
  reserved_at timestamptz not null default clock_timestamp(),
  effect_at timestamptz,
  released_at timestamptz,
  primary key (id, phase, key)
);
create index reservation_pending on ledger.reservation (key) include (amount) where released_at is null and effect_at is null;
create index reservation_effect on ledger.reservation (key, effect_at) include (amount, window_ms) where released_at is null and effect_at is not null;
`

const permission = `
create table ledger.warrant (
  warrant_id uuid primary key,
  id uuid not null references ledger.request,
  phase text not null check (phase in ('act', 'undo')),
  plan_digest text not null,
  decision_id uuid not null references ledger.decision,
  key_id text not null,
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  nonce text not null,
  document text not null,
  signature text not null,
  unique (key_id, nonce)
);
create index warrant_of on ledger.warrant (id);

-- Durable before the call. One per remediation and phase, for one digest: a run that is reset cannot act twice.
create table ledger.intent (
  id uuid not null references ledger.request,
  phase text not null check (phase in ('act', 'undo')),
  plan_digest text not null,
  warrant_id uuid not null references ledger.warrant,
  claim_token bigint not null,
  run_id text not null,
  action text not null,
  cluster text not null,
  namespace text not null,
  workload_kind text not null,
  workload_name text not null,
  recorded_at timestamptz not null default now(),
  state text not null default 'recorded' check (state in ('recorded', 'sent', 'fencing', 'settled')),
  attempts integer not null default 0,
  sent_at timestamptz,
  result text check (result in ('applied', 'presumed', 'overtaken', 'fenced', 'not_sent')),
  detail jsonb,
  settled_at timestamptz,
  primary key (id, phase),
  check ((state = 'settled') = (result is not null)),
  check ((state = 'settled') = (settled_at is not null))
);
create index intent_effects on ledger.intent (cluster, namespace, settled_at) where result in ('applied', 'presumed');
`

const endings = `
-- Written once, by close alone.
create table ledger.terminal (
  id uuid primary key references ledger.request,
  outcome text not null check (outcome in ('healed', 'no_action_needed', 'observed', 'suggested', 'denied', 'declined',
    'unanswered', 'cancelled', 'limited', 'frozen', 'blocked', 'overtaken', 'coalesced', 'undone', 'needs_human')),
  reason text not null,
  message text not null,
  verdict text check (verdict in ('better', 'same', 'worse', 'unknown')),
  source text not null check (source in ('workflow', 'reconciler')),
  run_id text,
  facts jsonb not null,
  closed_at timestamptz not null default clock_timestamp()
);
create index terminal_closed on ledger.terminal (closed_at);
create index terminal_outcome on ledger.terminal (outcome, id);
`
