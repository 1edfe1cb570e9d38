import type { Knex } from 'knex'

/**
 * Policies of record. Versions and snapshots are only ever added: nobody may change or remove one. What is in force is
 * the snapshot with the highest number, and whoever decides by it checks its signature first.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(tables)
  await knex.raw(kept)
  await knex.raw(rights)
  await knex.raw(kinds)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const tables = `
-- One edit of one policy. Without a document: it was taken back.
create table control.policy_versions (
  policy_id text not null,
  version integer not null check (version > 0),
  content_hash text check (content_hash ~ '^sha256:[0-9a-f]{64}$'),
  document text,
  -- Tests that stand beside this policy, as a JSON list.
  tests text not null default '[]',
  managed_by text not null check (managed_by in ('api', 'git')),
  author text not null,
  comment text not null,
  at timestamptz not null default now(),
  primary key (policy_id, version),
  check ((document is null) = (content_hash is null))
);

create table control.policy_snapshots (
  seq integer primary key check (seq > 0),
  hash text not null check (hash ~ '^sha256:[0-9a-f]{64}$'),
  -- [[id, version], …] by id, as JSON.
  members text not null,
  -- Tests of policies that come from files, as a JSON list.
  tests text not null,
  -- Exceptions and where they come from, as a JSON list.
  exceptions text not null,
  -- What is signed, word for word.
  statement text not null,
  key_id text not null,
  signature text not null,
  cause text not null check (cause in ('edit', 'rollback', 'sync')),
  author text not null,
  comment text not null,
  commit text,
  -- Of the files it was made of, by name and content; null for an edit.
  files_digest text,
  at timestamptz not null default now()
);
create index policy_snapshot_files on control.policy_snapshots (files_digest, seq) where files_digest is not null;
create index policy_snapshot_hash on control.policy_snapshots (hash, seq);

-- Asked for by one person, in force once another agrees.
create table control.policy_exceptions (
  exception_id text primary key,
  policy_id text not null,
  actions jsonb not null,
  resources jsonb not null,
  condition jsonb not null,
  reason text not null,
  expires_at timestamptz not null,
  author text not null,
  owner text not null,
  proposed_at timestamptz not null default now(),
  state text not null default 'proposed' check (state in ('proposed', 'approved', 'revoked')),
  decided_by text,
  decided_at timestamptz,
  check ((state = 'proposed') = (decided_by is null))
);
create index policy_exception_of on control.policy_exceptions (policy_id, proposed_at);

create view control.policies as
  select distinct on (v.policy_id) v.policy_id, v.version, v.content_hash, v.document, v.tests, v.managed_by, v.author, v.comment, v.at
  from control.policy_versions v order by v.policy_id, v.version desc;

-- What policy was asked directly and what it said. Remediations have theirs in ledger.decision.
create table control.policy_audit_logs (
  log_id uuid primary key,
  at timestamptz not null default now(),
  user_id text not null,
  owner text not null,
  action text not null,
  resource text not null,
  type text not null,
  result text not null check (result in ('allow', 'deny', 'require_approval')),
  allowed boolean not null,
  code text not null,
  reason text not null,
  -- Together these make the decision again, bit for bit.
  snapshot text not null,
  input text not null
);
create index policy_audit_log_user on control.policy_audit_logs (user_id, log_id);
`

// For superusers as well, as in the ledger.
const kept = ['policy_versions', 'policy_snapshots', 'policy_audit_logs']
  .map((table) => `
create trigger refuse_change before update or delete on control.${table} for each row execute function ledger.refuse_change();
create trigger refuse_truncate before truncate on control.${table} for each statement execute function ledger.refuse_change();
alter table control.${table} enable always trigger refuse_change;
alter table control.${table} enable always trigger refuse_truncate;
`)
  .join('')

const rights = `
grant usage on schema control to aegis_decision, aegis_reader;
grant select, insert on control.policy_versions, control.policy_snapshots, control.policy_audit_logs to aegis_api;
grant select on control.policies to aegis_api;
grant select, insert on control.policy_exceptions to aegis_api;
grant update (state, decided_by, decided_at) on control.policy_exceptions to aegis_api;
grant select on control.policy_versions, control.policy_snapshots, control.policy_exceptions, control.policies to aegis_decision, aegis_reader;
`

const kinds = `
create or replace function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('planned', 'decision', 'reserved', 'handed_off', 'warrant', 'closed') then pg_has_role(session_user, 'aegis_decision', 'member')
    when kind in ('preflight', 'intent', 'attempt', 'fencing', 'settled', 'verified') then pg_has_role(session_user, 'aegis_execution', 'member')
    when kind in ('answer', 'answer_refused', 'request_refused', 'freeze_set', 'freeze_lifted', 'claim_released', 'key_created', 'key_revoked', 'policies_published', 'exception_proposed', 'exception_decided')
      then pg_has_role(session_user, 'aegis_api', 'member')
    when kind = 'step' then pg_has_role(session_user, 'aegis_decision', 'member') or pg_has_role(session_user, 'aegis_execution', 'member')
    when kind = 'resolved' then pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_watcher', 'member')
    when kind = 'requested' then pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_decision', 'member')
      or pg_has_role(session_user, 'aegis_watcher', 'member')
    else false
  end
$$;
`
