import { join } from 'node:path'
import { asvs } from './house/asvs.ts'
import { compose } from './house/compose.ts'
import { settings } from './house/compose-settings.ts'
import { docs } from './house/docs.ts'
import type { Check } from './house/finding.ts'
import { generated } from './house/generated.ts'
import { licences } from './house/licences.ts'
import { lint } from './house/lint.ts'
import { lockfile } from './house/lockfile.ts'
import { migrations } from './house/migrations.ts'
import { outgoing } from './house/outgoing.ts'
import { linesOf, runCheck } from './house/report.ts'
import { scripts } from './house/scripts.ts'
import { secrets } from './house/secrets.ts'
import { sizes } from './house/sizes.ts'
import { types } from './house/types.ts'
import { unfinished } from './house/unfinished.ts'
import { unsafe } from './house/unsafe.ts'
import { walls } from './house/walls.ts'

/** `npm run check`: what CI runs before the tests. Every check runs, whatever the others find. */
const checks: readonly Check[] = [
  types, lint, walls, outgoing, unsafe, generated, compose, settings, scripts, lockfile, licences, migrations, secrets, unfinished, sizes, docs, asvs,
]

const root = join(import.meta.dirname, '..')
const clock = () => performance.now()
const start = clock()
let failed = 0

// One after another: the slow ones use every core by themselves.
for (const check of checks) {
  const result = await runCheck(check, root, clock)
  if (result.findings.length > 0) failed += 1
  process.stdout.write(`${linesOf(result).join('\n')}\n`)
}

const seconds = ((clock() - start) / 1000).toFixed(1)
process.stdout.write(failed === 0 ? `\nall ${checks.length} checks hold (${seconds} s)\n` : `\n${failed} of ${checks.length} checks failed (${seconds} s)\n`)
process.exitCode = failed === 0 ? 0 : 1
