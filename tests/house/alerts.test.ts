import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

/** Rules that page: each leads to a page that says what to do, and none is silent because its figure is gone. */
const root = join(import.meta.dirname, '../..')
type Rule = { alert: string; expr: string; labels: { severity: string }; annotations: { summary: string; runbook: string } }
const rules = (parse(readFileSync(join(root, 'deploy/alerts/aegis.yaml'), 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules)

test.each(rules.map((rule) => [rule.alert, rule] as const))('%s has a summary and a row in its runbook', (alert, { annotations }) => {
  expect(annotations.summary).not.toBe('')
  expect(readFileSync(join(root, annotations.runbook), 'utf8')).toContain(`\`${alert}\``)
})

test('what tells that a process sleeps has an absent() beside it, for a process that is not there tells nothing', () => {
  const absent = rules.map(({ expr }) => expr).filter((expr) => expr.includes('absent(')).join()
  expect(absent).toContain('absent(aegis_guard_last_round_seconds)')
  for (const service of ['aegis-api', 'aegis-decision', 'aegis-execution-', 'aegis-watcher', 'aegis-guard']) expect(absent).toContain(service)
})

test('one alert always fires, so that its silence is heard', () => {
  expect(rules.find(({ alert }) => alert === 'AegisWatchdog')?.expr).toBe('vector(1)')
})
