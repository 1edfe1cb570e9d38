// The thread in which one policy job is done. It begins without the TypeScript loader of the process, so it brings its own.
import { parentPort, workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

register()
const { doJob } = await import('./policy-jobs.ts')
parentPort?.postMessage(doJob(workerData))
