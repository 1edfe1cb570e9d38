import pg from 'pg'
import { asFailure } from './failures.ts'

export const databaseRoles = ['api', 'decision', 'execution', 'watcher', 'guard', 'reader'] as const
export type DatabaseRole = (typeof databaseRoles)[number]

export const loginName = (role: DatabaseRole): string => `aegis_${role}_login`

/** Neighbour databases of the same server may be doing the same; a round takes milliseconds. */
const attempts = 10

/**
 * Makes `aegis_api_login` and so on, members of the group roles that migrations make, and sets their
 * passwords. Roles belong to the server: all its databases share these logins and passwords.
 */
export async function createLoginRoles(ownerUrl: string, passwords: Record<DatabaseRole, string>): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl, application_name: 'aegis-roles', connectionTimeoutMillis: 3_000 })
  client.on('error', () => undefined) // the statement in progress reports it
  try {
    await client.connect()
    for (const role of databaseRoles) await ensureLogin(client, role, passwords[role])
  } catch (error) {
    throw asFailure(error)
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function ensureLogin(client: pg.Client, role: DatabaseRole, password: string): Promise<void> {
  const login = client.escapeIdentifier(loginName(role))
  const statements = [
    `do $$ begin create role ${login}; exception when duplicate_object or unique_violation then null; end $$`,
    `alter role ${login} with login nosuperuser nocreatedb nocreaterole noreplication password ${client.escapeLiteral(password)}`,
    `do $$ begin if not pg_has_role('${loginName(role)}', 'aegis_${role}', 'member') then grant aegis_${role} to ${login}; end if; end $$`,
  ]
  for (const statement of statements) await untilUndisturbed(() => client.query(statement))
}

/** Two servers' worth of tests altering one role make PostgreSQL say "tuple concurrently updated". */
async function untilUndisturbed(run: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await run()
      return
    } catch (error) {
      const { code } = error as { code?: string }
      if (attempt === attempts || !['XX000', '23505', '40001', '42710'].includes(code ?? '')) throw error
      await new Promise((wake) => setTimeout(wake, 10 * attempt))
    }
  }
}
