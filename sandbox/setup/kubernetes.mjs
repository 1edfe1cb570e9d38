import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { downloadProgram } from './download.mjs'
import { locked } from './lock.mjs'
import { cache, cached, checkout, isProgram, kubernetesPrograms, onPath, suppliedFolder, versions } from './programs.mjs'
import { during, Missing, say } from './progress.mjs'
import { run } from './run.mjs'
import { inScratch } from './scratch.mjs'

const buildLimitMs = 40 * 60_000
const oldestGo = [1, 26]

/** The control plane's programs, by AEGIS_SANDBOX_BINARIES: build, download, or a folder that has them. */
export async function ensureKubernetes() {
  if (suppliedFolder()) return checkSupplied(suppliedFolder())
  if (missing().length === 0) return
  await locked('kubernetes', async () => {
    await adoptFromPath()
    if (missing().length === 0) return
    const how = process.env.AEGIS_SANDBOX_BINARIES || ((await goVersion()) ? 'build' : 'download')
    if (how === 'build') await buildMissing()
    else for (const program of missing()) await downloadProgram(program)
  })
}

const missing = () => Object.keys(kubernetesPrograms).filter((program) => !isProgram(placeOf(program)))

const placeOf = (program) => cached(kubernetesPrograms[program], program)

function checkSupplied(folder) {
  const absent = Object.keys(kubernetesPrograms).filter((program) => !isProgram(join(folder, program)))
  if (absent.length === 0) return
  throw new Missing(`AEGIS_SANDBOX_BINARIES names ${folder}, which lacks ${absent.join(', ')}: put them there, or unset it to have them built.`)
}

/** What is installed in the very version we would build need not be built. */
async function adoptFromPath() {
  for (const program of missing()) {
    const present = onPath(program)
    if (!present || !(await hasVersion(present, versions[kubernetesPrograms[program]]))) continue
    say(`Kubernetes: using ${present}`)
    mkdirSync(dirname(placeOf(program)), { recursive: true })
    rmSync(placeOf(program), { force: true }) // a link to a program that is gone
    symlinkSync(present, placeOf(program))
  }
}

const hasVersion = async (program, version) => {
  const answer = await run(program, ['--version'], { limitMs: 10_000 }).catch(() => '')
  return new RegExp(`\\bv?${version.replaceAll('.', '\\.')}\\b`).test(answer)
}

async function goVersion() {
  const answer = await run('go', ['version'], { limitMs: 10_000 }).catch(() => '')
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(answer)?.map(Number) ?? []
  return major > oldestGo[0] || (major === oldestGo[0] && minor >= oldestGo[1])
}

const gitVersion = `v${versions.kubernetes}`
const [kubeMajor, kubeMinor] = versions.kubernetes.split('.')
const kubernetesFlags = [
  `-X k8s.io/component-base/version.gitVersion=${gitVersion}`,
  `-X k8s.io/component-base/version.gitMajor=${kubeMajor}`,
  `-X k8s.io/component-base/version.gitMinor=${kubeMinor}`,
  `-X k8s.io/client-go/pkg/version.gitVersion=${gitVersion}`, // or every component calls itself v0.0.0 in the audit log
]
const kwokFlags = [
  `-X sigs.k8s.io/kwok/pkg/consts.Version=v${versions.kwok}`,
  `-X sigs.k8s.io/kwok/pkg/consts.KubeVersion=${gitVersion}`,
]

// The API server first: it is half of all the work, and the others share most of its packages.
const recipes = [
  { program: 'kube-apiserver', module: 'kubernetes', target: 'k8s.io/kubernetes/cmd/kube-apiserver', flags: kubernetesFlags },
  { program: 'kube-controller-manager', module: 'kubernetes', target: 'k8s.io/kubernetes/cmd/kube-controller-manager', flags: kubernetesFlags },
  { program: 'kube-scheduler', module: 'kubernetes', target: 'k8s.io/kubernetes/cmd/kube-scheduler', flags: kubernetesFlags },
  { program: 'etcd', module: 'kubernetes', target: 'go.etcd.io/etcd/server/v3', flags: [] },
  { program: 'kwok', module: 'kwok', target: 'sigs.k8s.io/kwok/cmd/kwok', flags: kwokFlags },
  { program: 'kwokctl', module: 'kwok', target: 'sigs.k8s.io/kwok/cmd/kwokctl', flags: kwokFlags },
]

async function buildMissing() {
  if (!(await goVersion())) {
    throw new Missing(
      `Building the Kubernetes programs needs Go ${oldestGo.join('.')} or newer: install it from https://go.dev/dl, or set AEGIS_SANDBOX_BINARIES=download.`,
    )
  }
  const wanted = recipes.filter(({ program }) => missing().includes(program))
  say(`Kubernetes: building ${wanted.length} programs with Go, once per machine (5 to 10 min on two cores, kept in ${cache})`)
  for (const [index, recipe] of wanted.entries()) {
    await during(`Kubernetes: building ${recipe.program} (${index + 1} of ${wanted.length})`, () => build(recipe))
  }
}

async function build({ program, module, target, flags }) {
  const place = placeOf(program)
  await inScratch(place, async (folder) => {
    const output = join(folder, program)
    const args = ['build', '-trimpath', '-mod=readonly', '-ldflags', ['-s -w', ...flags].join(' '), '-o', output, target]
    await run('go', args, { cwd: join(checkout, 'sandbox', module), limitMs: buildLimitMs, env: { ...process.env, GOWORK: 'off' } })
    renameSync(output, place)
  })
}
