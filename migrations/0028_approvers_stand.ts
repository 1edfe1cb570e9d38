import type { Knex } from 'knex'

/**
 * An approval counts for as long as its giver may still give it: not once their account is disabled, their role there is
 * taken, or the key it came by is revoked. The decision worker may ask that, and read nothing else of accounts and keys.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(approverStands)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const approverStands = `
create function ledger.approver_stands(giver jsonb, of_cluster text, of_namespace text) returns boolean
language sql stable security definer set search_path = pg_catalog as $$
  select not exists (
    select from control.users u where u.username = lower(giver ->> 'owner') and u.state = 'disabled'
  ) and not exists (
    select from control.api_key k where 'key:' || k.key_id = giver ->> 'id' and k.revoked_at is not null
  ) and not exists (
    select from control.users u where 'user:' || u.user_id = giver ->> 'id' and not exists (
      select from control.user_roles b where b.user_id = u.user_id and b.role in ('approver', 'admin')
        and (b.cluster is null or b.cluster = of_cluster) and (b.namespace is null or b.namespace = of_namespace))
  )
$$;
revoke all on function ledger.approver_stands(jsonb, text, text) from public;
grant execute on function ledger.approver_stands(jsonb, text, text) to aegis_decision;
`
