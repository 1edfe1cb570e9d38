import type { Knex } from 'knex'

/**
 * The least each process needs, by column. The execution worker, which holds cluster rights, can
 * neither approve, decide, warrant nor close; the API can do none of what only workers may; the watcher can
 * only ask, and say that what it asked for is over.
 * A row lock needs the right to update at least one column: `phase` serves, which a trigger guards.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(nobody)
  await knex.raw(reading)
  await knex.raw(writing)
  await knex.raw(watching)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const nobody = `
revoke all on schema ledger, control from public;
revoke all on all tables in schema ledger, control from public;
revoke all on all functions in schema ledger from public;
`

const reading = `
grant usage on schema ledger to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant select on
  ledger.audit_event, ledger.stream_head, ledger.request, ledger.signal, ledger.plan, ledger.preflight, ledger.decision,
  ledger.answer, ledger.freeze, ledger.claim, ledger.handoff, ledger.reservation, ledger.warrant, ledger.intent, ledger.terminal
  to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant select on ledger.migrations to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant execute on function ledger.uuid_ms(uuid), ledger.uuid_floor(bigint), ledger.entry_id(bigint, text, text)
  to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_reader;
grant execute on function ledger.append(text, text, text, text, text, text) to aegis_api, aegis_decision, aegis_execution, aegis_watcher;
grant execute on function ledger.ensure_partitions(integer) to aegis_decision;
`

const writing = `
grant insert on ledger.request to aegis_api, aegis_decision;
grant update (phase, resolved_at, stop_attempts_at) on ledger.request to aegis_api;
grant update (phase, started_at, first_run_id) on ledger.request to aegis_decision;
grant update (phase) on ledger.request to aegis_execution;
grant insert, update on ledger.signal to aegis_api;
grant update (remediation_id) on ledger.signal to aegis_decision;

grant insert on ledger.plan, ledger.decision, ledger.warrant, ledger.terminal, ledger.handoff, ledger.reservation, ledger.claim to aegis_decision;
grant update (baseline, observed_at) on ledger.plan to aegis_decision;
grant update (workload_uid, token, state, holder, action, since) on ledger.claim to aegis_decision;
grant update (effect_at, released_at) on ledger.reservation to aegis_decision;
grant update (read_at, became) on ledger.handoff to aegis_decision;

grant insert (answer_id, id, kind, principal, owner, plan_digest, comment) on ledger.answer to aegis_api;
grant update (delivered_at) on ledger.answer to aegis_api, aegis_decision;
grant insert (freeze_id, cluster, namespace, action, reason, set_by) on ledger.freeze to aegis_api;
grant update (lifted_by, lifted_at) on ledger.freeze to aegis_api;
grant update (state, holder, action, since) on ledger.claim to aegis_api;
grant update (effect_at) on ledger.reservation to aegis_api;

grant insert on ledger.preflight to aegis_execution;
grant insert (id, phase, plan_digest, warrant_id, claim_token, run_id, action, cluster, namespace, workload_kind, workload_name)
  on ledger.intent to aegis_execution;
grant update (warrant_id, claim_token, state, attempts, sent_at, result, detail, settled_at) on ledger.intent to aegis_execution;
grant update (effect_at, released_at) on ledger.reservation to aegis_execution;

grant usage on schema control to aegis_api;
grant select, insert on control.api_key to aegis_api;
grant update (revoked_at) on control.api_key to aegis_api;
`

// Column rights cannot tell rows apart: these triggers keep the watcher to its own kind of row.
const watching = `
grant insert on ledger.request to aegis_watcher;
grant update (phase, resolved_at) on ledger.request to aegis_watcher;
grant insert, update on ledger.signal to aegis_watcher;
grant insert (answer_id, id, kind, principal, owner, plan_digest, comment) on ledger.answer to aegis_watcher;

create function ledger.guard_door() returns trigger language plpgsql as $$
begin
  if new.door <> 'watcher' and not (pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_decision', 'member')) then
    raise exception '% may only file requests of the watcher', session_user using errcode = '42501';
  end if;
  return new;
end $$;
create trigger guard_door before insert on ledger.request for each row execute function ledger.guard_door();

create function ledger.guard_answer() returns trigger language plpgsql as $$
begin
  if new.kind <> 'resolve' and not pg_has_role(session_user, 'aegis_api', 'member') then
    raise exception '% may not answer for people', session_user using errcode = '42501';
  end if;
  return new;
end $$;
create trigger guard_answer before insert on ledger.answer for each row execute function ledger.guard_answer();
`
