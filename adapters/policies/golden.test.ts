import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decide } from '../../domain/policy/decide.ts'
import type { PolicyInput } from '../../domain/policy/input.ts'
import { compileFiles } from './files.ts'

// Each folder is a policy, a request and what matters of the decision: read them as examples.
const golden = join(import.meta.dirname, '../../tests/golden/policy')
const read = (folder: string, file: string) => readFileSync(join(golden, folder, file), 'utf8')

test.each(readdirSync(golden))('%s', (folder) => {
  const { snapshot, errors } = compileFiles([{ name: 'policy.yaml', text: read(folder, 'policy.yaml') }])
  expect(errors).toBeUndefined()
  const decision = decide(snapshot!, JSON.parse(read(folder, 'request.json')) as PolicyInput)
  expect(decision).toMatchObject(JSON.parse(read(folder, 'decision.json')) as object)
})
