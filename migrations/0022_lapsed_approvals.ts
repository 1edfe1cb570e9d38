import type { Knex } from 'knex'

/**
 * An approval that has lapsed may be given again by the same person. Who approved already is seen under the
 * remediation's lock, and people are counted by owner, so a second row never is a second person.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('drop index ledger.answer_approve')
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
