import type { Knex } from 'knex'

/**
 * The emergency door: an approval that stands in the place of the others, by a person, and the review by another
 * person that each of them needs. What waits for one is what has none, so none can be forgotten.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(answers)
  await knex.raw(reviews)
  await knex.raw(entries)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const answers = `
alter table ledger.answer add column break_glass boolean not null default false,
  add constraint break_glass_of_person check (not break_glass or (kind = 'approve' and principal ->> 'kind' is not distinct from 'person'));
create index answer_break_glass on ledger.answer (owner, at) where break_glass;
grant insert (break_glass) on ledger.answer to aegis_api;
`

const reviews = `
create table ledger.break_glass_review (
  answer_id uuid primary key references ledger.answer,
  verdict text not null check (verdict in ('justified', 'unjustified')),
  comment text not null,
  reviewer text not null,
  owner text not null,
  at timestamptz not null default clock_timestamp()
);

create function ledger.guard_review() returns trigger language plpgsql as $$
declare
  reviewed ledger.answer;
begin
  select * into reviewed from ledger.answer a where a.answer_id = new.answer_id;
  if reviewed.break_glass is not true then
    raise exception 'answer % is no break-glass', new.answer_id using errcode = 'AE006';
  end if;
  if lower(reviewed.owner) = lower(new.owner) then
    raise exception 'nobody reviews a break-glass of their own' using errcode = 'AE006';
  end if;
  return new;
end $$;
create trigger guard_review before insert on ledger.break_glass_review for each row execute function ledger.guard_review();
create trigger refuse_change before update or delete on ledger.break_glass_review for each row execute function ledger.refuse_change();
create trigger refuse_truncate before truncate on ledger.break_glass_review for each statement execute function ledger.refuse_change();
alter table ledger.break_glass_review enable always trigger guard_review;
alter table ledger.break_glass_review enable always trigger refuse_change;
alter table ledger.break_glass_review enable always trigger refuse_truncate;

revoke all on ledger.break_glass_review from public;
grant select on ledger.break_glass_review to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant insert (answer_id, verdict, comment, reviewer, owner) on ledger.break_glass_review to aegis_api;
`

// The kinds of before keep their writers, whatever they are by now.
const entries = `
alter function ledger.may_append(text) rename to may_append_before_break_glass;
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('break_glass', 'break_glass_reviewed') then pg_has_role(session_user, 'aegis_api', 'member')
    else ledger.may_append_before_break_glass(kind)
  end
$$;
revoke all on function ledger.may_append(text), ledger.guard_review() from public;
`
