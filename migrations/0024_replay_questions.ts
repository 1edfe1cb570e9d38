import type { Knex } from 'knex'

/** Questions put to the policies directly are asked again as well, in the order in which they came. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create index policy_audit_log_time on control.policy_audit_logs (at, log_id)')
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
