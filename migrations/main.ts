/** `tsx migrations/main.ts`: brings the schema up to date as its owner (`DATABASE_URL`), once, and ends. */
import { processEnvironment } from '../adapters/config.ts'
import { migrate } from '../adapters/postgres/connect.ts'

const ownerUrl = processEnvironment()['DATABASE_URL']
if (!ownerUrl) {
  console.error('migrate: set `DATABASE_URL` to the URL of the database as its owner')
  process.exit(2)
}
try {
  const applied = await migrate(ownerUrl)
  console.log(applied.length === 0 ? 'migrate: up to date' : `migrate: applied ${applied.join(', ')}`)
} catch (failure) {
  console.error(`migrate: ${failure instanceof Error ? failure.message : 'failed'}`)
  process.exit(1)
}
