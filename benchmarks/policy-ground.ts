/** A real API process on the embedded stack, with a thousand policies in force and nothing to heal. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startAegis } from '../sandbox/aegis.ts'
import { defaultDirectory, startStack } from '../sandbox/stack.ts'
import { inForce } from './replay/candidates.ts'

export type PolicyGround = {
  /** Marks the stack's processes. */
  directory: string
  url: string
  apiKey: string
  /** Of the API's process. */
  apiPid: number
  /** Of the database's owner. */
  ownerUrl: string
  close(): Promise<void>
}

const clusterName = 'bench'

export async function openPolicyGround(progress: (line: string) => void): Promise<PolicyGround> {
  const directory = join(defaultDirectory, 'bench-stack')
  mkdirSync(directory, { recursive: true })
  const stack = await startStack({ directory, clusters: [clusterName], progress })
  rmSync(join(directory, 'aegis'), { recursive: true, force: true })
  const aegis = await startAegis({
    stack,
    directory: join(directory, 'aegis'),
    stackDirectory: stack.directory,
    database: stack.postgres,
    env: { AEGIS_HTTP_LIMITS: 'principal=1000000/1s,route=1000000/1s', AEGIS_POLICY_DIRECTORY: writePolicies(join(directory, 'policies')) },
    watcher: false,
    progress,
  })
  return {
    directory: stack.directory,
    url: aegis.url,
    apiKey: aegis.apiKey,
    apiPid: aegis.apis[0]!.process.pid(),
    ownerUrl: stack.postgres.ownerUrl,
    async close() {
      await aegis.stop()
      await stack.stop()
    },
  }
}

function writePolicies(folder: string): string {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'estate.yaml'), inForce.map((document) => `---\n${JSON.stringify(document)}\n`).join(''))
  return folder
}
