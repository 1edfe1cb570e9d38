import type { Knex } from 'knex'

/**
 * Keys of callers that sign their requests, and the nonces they have spent. A nonce is spent in the transaction that
 * accepts its request, so it lives beside the requests; a key is identity, so it lives beside the API keys.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(keys)
  await knex.raw(states)
  await knex.raw(nonces)
  await knex.raw(entries)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

// A secret is there sealed, a public key as it is; what a key is good for never changes, only its state.
const keys = `
create table control.caller_key (
  key_id uuid primary key,
  caller text not null check (caller ~ '^[a-z0-9-]{1,63}$'),
  owner text not null,
  roles text[] not null check (cardinality(roles) > 0 and roles <@ array['admin', 'user', 'approver', 'auditor', 'service']),
  algorithm text not null check (algorithm in ('hmac-sha256', 'ed25519')),
  sealed_secret bytea,
  sealed_by text,
  public_key bytea,
  actions text[] not null check (cardinality(actions) > 0),
  namespaces text[] not null check (cardinality(namespaces) > 0),
  max_replicas integer not null check (max_replicas >= 0),
  audiences text[] not null check (cardinality(audiences) > 0),
  state text not null default 'pending' check (state in ('pending', 'active', 'retiring', 'revoked')),
  created_by text not null,
  created_at timestamptz not null default now(),
  activated_at timestamptz,
  retires_at timestamptz,
  revoked_at timestamptz,
  check ((algorithm = 'hmac-sha256') = (sealed_secret is not null)),
  check ((algorithm = 'hmac-sha256') = (sealed_by is not null)),
  check ((algorithm = 'ed25519') = (public_key is not null)),
  check ((state = 'retiring') <= (retires_at is not null))
);
create index caller_key_of on control.caller_key (caller, created_at);

revoke all on control.caller_key from public;
grant select on control.caller_key to aegis_api;
grant insert (key_id, caller, owner, roles, algorithm, sealed_secret, sealed_by, public_key, actions, namespaces, max_replicas, audiences, created_by)
  on control.caller_key to aegis_api;
grant update (state, activated_at, retires_at, revoked_at) on control.caller_key to aegis_api;
`

// A key goes forward only: pending, active, retiring, revoked. What is revoked stays so, and an overlap only shrinks.
const states = `
create function control.guard_caller_key() returns trigger language plpgsql as $$
declare
  ladder constant text[] := array['pending', 'active', 'retiring', 'revoked'];
begin
  if array_position(ladder, new.state) < array_position(ladder, old.state) then
    raise exception 'caller key % is % and cannot be % again', old.key_id, old.state, new.state using errcode = 'AE006';
  end if;
  if old.state = 'revoked' or (old.state = 'retiring' and new.retires_at > old.retires_at) then
    raise exception 'caller key % is % and stays so', old.key_id, old.state using errcode = 'AE006';
  end if;
  return new;
end $$;
create trigger guard_state before update on control.caller_key for each row execute function control.guard_caller_key();
alter table control.caller_key enable always trigger guard_state;
`

// A nonce is kept for as long as its message could be taken, and is forgotten only after that, whoever asks.
const nonces = `
create table ledger.caller_nonce (
  key_id uuid not null,
  nonce text not null,
  call_id uuid not null,
  spent_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (key_id, nonce)
);
create index caller_nonce_expiry on ledger.caller_nonce (expires_at);

revoke all on ledger.caller_nonce from public;
grant select on ledger.caller_nonce to aegis_api, aegis_reader;
grant insert (key_id, nonce, call_id, expires_at) on ledger.caller_nonce to aegis_api;

create function ledger.guard_nonce() returns trigger language plpgsql as $$
begin
  if new.expires_at <= clock_timestamp() then
    raise exception 'the signature has expired' using errcode = 'AE019';
  end if;
  return new;
end $$;
create trigger guard_nonce before insert on ledger.caller_nonce for each row execute function ledger.guard_nonce();
alter table ledger.caller_nonce enable always trigger guard_nonce;

create function ledger.forget_nonces(most integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  gone integer;
begin
  delete from ledger.caller_nonce n using (
    select f.key_id, f.nonce from ledger.caller_nonce f where f.expires_at < clock_timestamp() - interval '1 minute'
    order by f.expires_at limit least(most, 10000) for update skip locked
  ) old where n.key_id = old.key_id and n.nonce = old.nonce;
  get diagnostics gone = row_count;
  return gone;
end $$;
revoke all on function ledger.guard_nonce(), ledger.forget_nonces(integer) from public;
grant execute on function ledger.forget_nonces(integer) to aegis_api;
`

// The kinds of before keep their writers, whatever they are by now.
const entries = `
alter function ledger.may_append(text) rename to may_append_before_caller_keys;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('caller_key_created', 'caller_key_activated', 'caller_key_retiring', 'caller_key_revoked', 'caller_key_used', 'signature_refused', 'signatures_refused')
      then pg_has_role(session_user, 'aegis_api', 'member')
    else ledger.may_append_before_caller_keys(kind)
  end
$$;
revoke all on function ledger.may_append(text), control.guard_caller_key() from public;
`
