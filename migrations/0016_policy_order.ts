import type { Knex } from 'knex'

/**
 * The number of a snapshot, and of a policy's version, follows the one before. What is in force is the highest number:
 * a row far above it would end publishing for good, because nothing could come after.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(order)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const order = `
create function control.refuse_gap(what text, number integer, before integer) returns void language plpgsql as $$
begin
  if number <> coalesce(before, 0) + 1 then
    raise exception '% % does not follow %', what, number, coalesce(before, 0) using errcode = 'AE006';
  end if;
end $$;

create function control.guard_snapshot_order() returns trigger language plpgsql as $$
begin
  perform control.refuse_gap('snapshot', new.seq, (select max(seq) from control.policy_snapshots));
  return new;
end $$;

create function control.guard_version_order() returns trigger language plpgsql as $$
begin
  perform control.refuse_gap('version', new.version, (select max(version) from control.policy_versions where policy_id = new.policy_id));
  return new;
end $$;

create trigger guard_order before insert on control.policy_snapshots for each row execute function control.guard_snapshot_order();
create trigger guard_order before insert on control.policy_versions for each row execute function control.guard_version_order();
alter table control.policy_snapshots enable always trigger guard_order;
alter table control.policy_versions enable always trigger guard_order;
`
