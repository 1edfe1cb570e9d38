import type { Knex } from 'knex'

/**
 * A change of policies that lets more happen waits here until another person agrees. What was asked for never changes;
 * it is settled once, and nobody agrees to what they asked for themselves.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(changes)
  await knex.raw(versions)
  await knex.raw(entries)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const changes = `
create table control.policy_changes (
  change_id uuid primary key,
  -- What is wanted, and of which versions, as JSON.
  wanted text not null,
  -- Why it takes a second person, in words.
  why text not null,
  -- A request to which more is let happen, as JSON; null where the change was too large to compare.
  witness text,
  author text not null,
  author_kind text not null,
  owner text not null,
  proposed_at timestamptz not null default now(),
  state text not null default 'proposed' check (state in ('proposed', 'agreed', 'withdrawn')),
  decided_by text,
  decided_owner text,
  decided_at timestamptz,
  check ((state = 'proposed') = (decided_by is null)),
  check ((decided_by is null) = (decided_owner is null) and (decided_by is null) = (decided_at is null)),
  constraint second_person check (state <> 'agreed' or decided_owner <> owner)
);
create index policy_change_open on control.policy_changes (change_id) where state = 'proposed';

create function control.guard_policy_change() returns trigger language plpgsql as $$
begin
  if old.state <> 'proposed' or new.state = 'proposed'
    or (new.change_id, new.wanted, new.why, new.witness, new.author, new.author_kind, new.owner, new.proposed_at)
      is distinct from (old.change_id, old.wanted, old.why, old.witness, old.author, old.author_kind, old.owner, old.proposed_at) then
    raise exception 'a change of policies is settled once, and stays as it was asked for' using errcode = 'AE006';
  end if;
  return new;
end $$;
create trigger guard_change before update on control.policy_changes for each row execute function control.guard_policy_change();
create trigger refuse_removal before delete on control.policy_changes for each row execute function ledger.refuse_change();
create trigger refuse_truncate before truncate on control.policy_changes for each statement execute function ledger.refuse_change();
alter table control.policy_changes enable always trigger guard_change;
alter table control.policy_changes enable always trigger refuse_removal;
alter table control.policy_changes enable always trigger refuse_truncate;

grant select on control.policy_changes to aegis_api, aegis_reader;
grant insert (change_id, wanted, why, witness, author, author_kind, owner) on control.policy_changes to aegis_api;
grant update (state, decided_by, decided_owner, decided_at) on control.policy_changes to aegis_api;
`

// Null: it took nobody besides its author.
const versions = `
alter table control.policy_versions add column agreed_by text;
`

// The kinds of before keep their writers, whatever they are by now.
const entries = `
alter function ledger.may_append(text) rename to may_append_before_policy_changes;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('policy_change_proposed', 'policy_change_decided') then pg_has_role(session_user, 'aegis_api', 'member')
    else ledger.may_append_before_policy_changes(kind)
  end
$$;
revoke all on function ledger.may_append(text), control.guard_policy_change() from public;
`
