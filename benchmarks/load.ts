import { rows } from '../adapters/postgres/sql.ts'
import { outcomeRows, round, spreadOf, spreadRows, toMutation, unmutated } from './figures.ts'
import type { BenchFigures, Ground } from './ground.ts'
import { cpuRows, processUses, rssRows } from './processes.ts'
import { askSteadily, coursesOf, untilClosed } from './remediations.ts'
import { atMost } from './report.ts'
import { settingRows } from './settings.ts'
import { stepRows } from './steps.ts'

const perSecond = 10
const seconds = 120
const closeLimitMs = 600_000

/** Ten new remediations a second for two minutes, and where their time goes. */
export async function run(ground: Ground): Promise<BenchFigures> {
  const [before, committed] = [processUses(ground.directory), await transactions(ground)]
  const ids = await askSteadily(ground, perSecond, seconds)
  const atEnd = processUses(ground.directory)
  await untilClosed(ground, ids, closeLimitMs)
  const [after, courses] = [processUses(ground.directory), await coursesOf(ground, ids)]
  const spread = spreadOf(toMutation(courses))
  const name = `${perSecond}/s for ${seconds} s`
  return {
    rows: [
      ...spreadRows(name, 'accepted → mutation', spread),
      ...outcomeRows(name, courses),
      ...(await stepRows(ground, courses)),
      { case: name, metric: 'database transactions per remediation', value: round(((await transactions(ground)) - committed) / ids.length), unit: '' },
      ...cpuRows(before, after, ids.length),
      ...rssRows(atEnd, 'RSS under load'),
      ...settingRows,
    ],
    bars: [atMost(`${name}: accepted → mutation, p95 in ms`, 2_000, spread.p95), atMost(`${name}: remediations without their mutation`, 0, unmutated(courses))],
  }
}

async function transactions({ db }: Pick<Ground, 'db'>): Promise<number> {
  const [row] = await rows<{ count: number }>(db, 'select xact_commit::float8 as count from pg_stat_database where datname = current_database()')
  return row?.count ?? 0
}
