import type { Knex } from 'knex'
import { Gauge, type Registry } from '../adapters/metrics.ts'
import { openReviews } from '../adapters/postgres/break-glass.ts'

/** Break-glasses that nobody has reviewed. The answer is a round to be repeated: a scrape waits for no database. */
export function breakGlassMetrics(registry: Registry, db: Knex): () => Promise<void> {
  const registers = [registry]
  const open = new Gauge({ name: 'aegis_break_glass_open_reviews', help: 'Break-glasses that wait for another person’s review', registers })
  let oldestMs: number | null = null
  new Gauge({
    name: 'aegis_break_glass_oldest_review_seconds',
    help: 'Since the oldest of them; 0 without any. Past 24 h its person can use no other',
    registers,
    collect() {
      this.set(oldestMs === null ? 0 : Math.max(0, (Date.now() - oldestMs) / 1000))
    },
  })
  return async () => {
    const { count, oldestAt } = await openReviews(db)
    open.set(count)
    oldestMs = oldestAt === null ? null : Date.parse(oldestAt)
  }
}
