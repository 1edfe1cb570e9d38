import type { Knex } from 'knex'

/**
 * People, what they may do where, and their sessions. Only the API's role can read any of it. Nothing in here opens
 * anything by itself: passwords are argon2id hashes, tokens are hashes of 256 random bits, and the successor of a
 * refresh token can only be computed by whoever presents the token.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(accounts)
  await knex.raw(sessions)
  await knex.raw(attempts)
  await knex.raw(keys)
  await knex.raw(rights)
  await knex.raw(kinds)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const accounts = `
create table control.users (
  user_id uuid primary key,
  -- Lower case: who stands behind a key or an answer is compared by it.
  username text not null unique check (username ~ '^[a-z0-9][a-z0-9._@+-]{0,127}$'),
  display_name text not null,
  state text not null default 'active' check (state in ('active', 'disabled')),
  -- Null: no way in by password.
  password_hash text,
  -- Rises whenever every session has to end.
  session_version integer not null default 1,
  oidc_issuer text,
  oidc_sub text,
  groups text[] not null default '{}',
  created_by text not null,
  created_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  check ((oidc_issuer is null) = (oidc_sub is null))
);
create unique index users_oidc on control.users (oidc_issuer, oidc_sub) where oidc_sub is not null;

create table control.roles (role text primary key, description text not null);
insert into control.roles values
  ('admin', 'everything, accounts and policies included'),
  ('user', 'asks for remediations'),
  ('approver', 'answers what waits for an approval, freezes'),
  ('auditor', 'reads the record'),
  ('service', 'a machine that asks and sends alerts');

-- Null: in every cluster, in every namespace.
create table control.user_roles (
  user_id uuid not null references control.users,
  role text not null references control.roles,
  cluster text,
  namespace text,
  source text not null check (source in ('admin', 'oidc')),
  granted_by text not null,
  granted_at timestamptz not null default now(),
  unique nulls not distinct (user_id, role, cluster, namespace, source)
);

-- The first admin, and whoever sets a password without knowing one.
create table control.one_time_tokens (
  hash text primary key check (hash ~ '^[0-9a-f]{64}$'),
  purpose text not null check (purpose in ('bootstrap', 'password')),
  user_id uuid references control.users,
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  check ((purpose = 'password') = (user_id is not null))
);
`

const sessions = `
-- A login and all that was refreshed from it.
create table control.session_cache (
  session_id uuid primary key,
  user_id uuid not null references control.users,
  session_version integer not null,
  auth_time timestamptz not null default now(),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  -- Tells a lost reply from a thief.
  client_hash text not null,
  client text not null,
  ended_at timestamptz,
  ended_because text check (ended_because in ('logout', 'revoked', 'reuse', 'password', 'disabled')),
  check ((ended_at is null) = (ended_because is null))
);
create index session_cache_user on control.session_cache (user_id, created_at desc);

create table control.refresh_tokens (
  hash text primary key check (hash ~ '^[0-9a-f]{64}$'),
  session_id uuid not null references control.session_cache on delete cascade,
  salt text not null,
  issued_at timestamptz not null default now(),
  used_at timestamptz,
  successor text
);
create index refresh_tokens_session on control.refresh_tokens (session_id);

-- A browser or a machine from which somebody has logged in before.
create table control.known_devices (
  hash text not null check (hash ~ '^[0-9a-f]{64}$'),
  user_id uuid not null references control.users,
  last_used_at timestamptz not null default now(),
  primary key (hash, user_id)
);
`

const attempts = `
-- An exact sliding log, like the limits of actions: each try takes its place before it is judged.
create table control.login_attempts (
  attempt_id uuid not null,
  key text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (attempt_id, key)
);
create index login_attempts_key on control.login_attempts (key, at);
create index login_attempts_at on control.login_attempts (at);
`

const keys = `
-- Where the roles of a key hold, as [{role, cluster, namespace}]; null: everywhere.
alter table control.api_key add column bindings jsonb;
alter table control.api_key add column last_used_at timestamptz;
`

const rights = `
revoke all on control.users, control.roles, control.user_roles, control.one_time_tokens, control.session_cache,
  control.refresh_tokens, control.known_devices, control.login_attempts from public;
grant select on control.users, control.roles, control.user_roles, control.one_time_tokens, control.session_cache,
  control.refresh_tokens, control.known_devices, control.login_attempts to aegis_api;
grant insert on control.users, control.user_roles, control.one_time_tokens, control.session_cache, control.refresh_tokens,
  control.known_devices, control.login_attempts to aegis_api;
grant update (display_name, state, password_hash, session_version, groups, changed_at) on control.users to aegis_api;
grant delete on control.user_roles, control.login_attempts, control.session_cache, control.refresh_tokens to aegis_api;
grant update (used_at) on control.one_time_tokens to aegis_api;
grant update (session_version, ended_at, ended_because) on control.session_cache to aegis_api;
grant update (used_at, successor) on control.refresh_tokens to aegis_api;
grant update (last_used_at) on control.known_devices to aegis_api;
grant update (last_used_at) on control.api_key to aegis_api;
`

// The kinds of before keep their writers, whatever they are by now.
const kinds = `
alter function ledger.may_append(text) rename to may_append_before_accounts;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('user_created', 'user_changed', 'password_changed', 'token_issued', 'login', 'login_refused', 'session_ended', 'refresh_reused')
      then pg_has_role(session_user, 'aegis_api', 'member')
    else ledger.may_append_before_accounts(kind)
  end
$$;
revoke all on function ledger.may_append(text) from public;
`
