import { chmodSync, createWriteStream, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { cached, kubernetesPrograms, sha256, versions } from './programs.mjs'
import { during, Missing } from './progress.mjs'
import { run } from './run.mjs'
import { inScratch } from './scratch.mjs'

const limitMs = 15 * 60_000
const [os, arch] = [process.platform, process.arch === 'x64' ? 'amd64' : process.arch]

/** The official releases. `sums` is the publisher's list of checksums, where there is one. */
const kubernetesRelease = (program) => {
  const url = `https://dl.k8s.io/release/v${versions.kubernetes}/bin/${os}/${arch}/${program}`
  return { url, sums: `${url}.sha256` }
}
const etcdRelease = () => {
  const [folder, name] = [`https://github.com/etcd-io/etcd/releases/download/v${versions.etcd}`, `etcd-v${versions.etcd}-${os}-${arch}`]
  return { url: `${folder}/${name}.tar.gz`, sums: `${folder}/SHA256SUMS`, inside: `${name}/etcd` }
}
const kwokRelease = (program) => ({
  url: `https://github.com/kubernetes-sigs/kwok/releases/download/v${versions.kwok}/${program}-${os}-${arch}`,
})
const releases = { kubernetes: kubernetesRelease, etcd: etcdRelease, kwok: kwokRelease }

export async function downloadProgram(program) {
  if (os !== 'linux') {
    throw new Missing('The official Kubernetes programs exist for Linux only: install Go 1.26 or newer from https://go.dev/dl and they will be built.')
  }
  const release = kubernetesPrograms[program]
  await during(`Kubernetes: downloading ${program}`, () => fetchRelease(releases[release](program), cached(release, program)))
}

export const fetchRelease = ({ url, sums, inside }, place) =>
  inScratch(place, async (folder) => {
    const file = join(folder, 'download')
    await save(url, file)
    if (sums) await check(file, url, sums)
    if (inside) await run('tar', ['-xzf', file, '-C', folder, inside], { limitMs })
    const unpacked = join(folder, inside ?? 'download')
    chmodSync(unpacked, 0o755)
    renameSync(unpacked, place)
  })

async function save(url, file) {
  await pipeline(Readable.fromWeb((await get(url)).body), createWriteStream(file))
}

async function get(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(limitMs) }).catch((cause) => {
    throw new Missing(`${url} cannot be reached (${cause.cause?.code ?? cause.message}): ${instead}`)
  })
  if (!response.ok) throw new Missing(`${url} answered ${response.status}: ${instead}`)
  return response
}

const instead =
  'install Go 1.26 or newer from https://go.dev/dl to have the programs built, or set AEGIS_SANDBOX_BINARIES to a folder that has them.'

async function check(file, url, sums) {
  const listed = await (await get(sums)).text()
  const name = url.slice(url.lastIndexOf('/') + 1)
  const line = listed.split('\n').find((each) => each.endsWith(name)) ?? listed
  if (line.trim().split(/\s+/)[0] !== sha256(readFileSync(file))) {
    throw new Error(`${url} does not have the checksum its publisher lists in ${sums}: try again, and do not use the file if it stays so.`)
  }
}
