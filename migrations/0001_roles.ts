import type { Knex } from 'knex'

/**
 * Group roles are shared by all databases of a server, and nobody logs in as one (docs/tables.md).
 * A role may exist already, or be made by a neighbour database at this very moment.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    do $$
    declare
      wanted text;
    begin
      foreach wanted in array array['aegis_api', 'aegis_decision', 'aegis_execution', 'aegis_watcher', 'aegis_reader'] loop
        if not exists (select from pg_roles where rolname = wanted) then
          begin
            execute format('create role %I nologin', wanted);
          exception when duplicate_object or unique_violation then null;
          end;
        end if;
      end loop;
    end $$`)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}
