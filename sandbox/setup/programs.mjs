// The servers the sandbox runs: their pinned versions, and where each program lies once set-up is done.
import { createHash } from 'node:crypto'
import { accessSync, constants, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const checkout = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

export const versions = {
  temporal: '1.9.1',
  kubernetes: '1.36.3',
  etcd: '3.6.8',
  kwok: '0.8.0',
  postgres: '18.4.0-beta.17',
}

/** Which release each Kubernetes program comes from. */
export const kubernetesPrograms = {
  'kube-apiserver': 'kubernetes',
  'kube-controller-manager': 'kubernetes',
  'kube-scheduler': 'kubernetes',
  etcd: 'etcd',
  kwok: 'kwok',
  kwokctl: 'kwok',
}

export const cache = resolve(process.env.AEGIS_CACHE || join(homedir(), '.cache/aegis'))

const platform = `${process.platform}-${process.arch}`

/** The place of one cached program; its version is in the path, so two checkouts of different age can share a cache. */
export const cached = (release, program) => join(cache, platform, `${release}-${versions[release]}`, program)

/** PostgreSQL refuses to run as root, so under root its files must lie where another account can reach them. */
export const postgresHome = () => {
  const root = process.getuid?.() === 0 && !isTraversable(cache) ? '/var/cache/aegis' : cache
  return join(root, platform, `postgres-${versions.postgres}`)
}

export const isTraversable = (path) => {
  for (let at = resolve(path); ; at = dirname(at)) {
    const mode = modeOf(at)
    if (mode !== undefined && (mode & 0o001) === 0) return false
    if (at === dirname(at)) return true
  }
}

const modeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mode

export const onPath = (program) =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, program))
    .find(isProgram)

export const isProgram = (path) => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** A folder of ready-made programs, when AEGIS_SANDBOX_BINARIES names one. */
export const suppliedFolder = () => {
  const choice = process.env.AEGIS_SANDBOX_BINARIES
  return choice && choice !== 'build' && choice !== 'download' ? resolve(choice) : undefined
}

const kubernetesProgram = (program) => {
  const folder = suppliedFolder()
  return folder ? join(folder, program) : cached(kubernetesPrograms[program], program)
}

/** Where every program lies. Set-up (`ensure.mjs stack`) makes this true. */
export const programs = () => ({
  temporal: cached('temporal', 'temporal'),
  postgres: postgresHome(),
  etcd: kubernetesProgram('etcd'),
  kubeApiserver: kubernetesProgram('kube-apiserver'),
  kubeControllerManager: kubernetesProgram('kube-controller-manager'),
  kubeScheduler: kubernetesProgram('kube-scheduler'),
  kwok: kubernetesProgram('kwok'),
  kwokctl: kubernetesProgram('kwokctl'),
})

export const missingPrograms = () => {
  const { postgres, ...files } = programs()
  return [...Object.values(files), join(postgres, 'bin/postgres')].filter((path) => !isProgram(path))
}

export const sha256 = (data) => createHash('sha256').update(data).digest('hex')
