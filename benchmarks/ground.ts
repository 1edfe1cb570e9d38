/** What the benchmarks run on: one embedded stack, Aegis with raised limits, and workloads to scale. */
import type { Knex } from 'knex'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { connectDatabase } from '../adapters/postgres/connect.ts'
import { startAegis, type Aegis } from '../sandbox/aegis.ts'
import { aegisApi, type AegisApi } from '../sandbox/demo/aegis-api.ts'
import { defaultDirectory, startStack, type SandboxCluster } from '../sandbox/stack.ts'
import { openJudge, type Judge } from './judge.ts'
import type { BenchReport } from './report.ts'
import { settings } from './settings.ts'
import { createTargets, type Targets } from './targets.ts'

/** What a benchmark finds; name, machine and date are the same for all. */
export type BenchFigures = Pick<BenchReport, 'rows' | 'bars' | 'table'>

export type Ground = {
  /** Marks the stack's processes. */
  directory: string
  cluster: SandboxCluster
  /** Temporal's address. */
  temporal: string
  /** Of the database's owner. */
  ownerUrl: string
  aegis: Aegis
  execution: Aegis['decision']
  api: AegisApi
  /** As the database's owner, to read what happened. */
  db: Knex
  judge: Judge
  targets: Targets
  close(): Promise<void>
}

const clusterName = 'bench'

export async function openGround(progress: (line: string) => void): Promise<Ground> {
  const directory = join(defaultDirectory, 'bench-stack')
  mkdirSync(directory, { recursive: true })
  const stack = await startStack({ directory, clusters: [clusterName], progress })
  const [cluster] = stack.clusters
  if (!cluster) throw new Error('the stack has no cluster')
  rmSync(join(directory, 'aegis'), { recursive: true, force: true })
  const starting = startAegis({ stack, directory: join(directory, 'aegis'), stackDirectory: stack.directory, database: stack.postgres, env: settings, progress })
  const targets = await createTargets(cluster.kubeconfig)
  const aegis = await starting
  const execution = aegis.executions[clusterName]
  if (!execution) throw new Error('Aegis has no execution worker')
  progress('workloads are up')
  const db = connectDatabase({ url: stack.postgres.ownerUrl, applicationName: 'aegis-bench', poolMax: 4 })
  return {
    directory: stack.directory,
    cluster,
    temporal: stack.temporal.address,
    ownerUrl: stack.postgres.ownerUrl,
    aegis,
    execution,
    api: aegisApi(aegis.url, aegis.apiKey),
    db,
    judge: openJudge(cluster),
    targets,
    async close() {
      await db.destroy()
      await aegis.stop()
      await stack.stop()
    },
  }
}
