// Completes package-lock.json: run `node sandbox/setup/lockfile.mjs` by hand after each `npm install` that changed it.
//
// npm leaves optional platform packages (darwin, win32, musl…) out of a lockfile written where they cannot be
// downloaded, and then `npm ci` refuses that lockfile everywhere ("Missing: … from lock file"). This adds an entry for
// each, with what npm needs to know to skip it on other platforms. A later `npm install` keeps them. Running it twice
// changes nothing.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkout } from './programs.mjs'

const path = join(checkout, 'package-lock.json')
const lockfile = JSON.parse(readFileSync(path, 'utf8'))
const { packages } = lockfile

const systems = ['darwin', 'linux', 'win32', 'freebsd', 'android', 'openharmony', 'netbsd', 'openbsd', 'sunos', 'aix']
const processors = ['x64', 'arm64', 'arm', 'ia32', 'ppc64', 's390x', 'riscv64', 'loong64', 'mips64el', 'wasm32']
const libraries = { gnu: 'glibc', gnueabihf: 'glibc', musl: 'musl', musleabihf: 'musl' }

/** npm looks for a dependency beside its dependent and then in every folder above. */
function isLocked(dependent, name) {
  for (let at = dependent; ; at = at.slice(0, Math.max(at.lastIndexOf('/node_modules/'), 0))) {
    if (packages[`${at}${at && '/'}node_modules/${name}`]) return true
    if (at === '') return false
  }
}

/** `@swc/core-linux-arm-gnueabihf` says what it runs on. */
function platformOf(name) {
  const words = name.split(/[/-]/)
  const pick = (known) => words.filter((word) => known.includes(word)).slice(0, 1)
  const libc = pick(Object.keys(libraries)).map((word) => libraries[word])
  const [os, cpu] = [pick(systems), pick(processors)]
  return {
    ...(cpu.length > 0 ? { cpu } : {}),
    ...(os.includes('linux') && libc.length > 0 ? { libc } : {}),
    ...(os.length > 0 ? { os } : {}),
  }
}

const added = Object.entries(packages).flatMap(([dependent, { dev, optionalDependencies = {} }]) =>
  Object.entries(optionalDependencies)
    .filter(([name]) => !isLocked(dependent, name))
    .map(([name, range]) => {
      const version = range.replace(/^[\^~>=v\s]+/, '')
      return { name, entry: { version, ...platformOf(name), ...(dev ? { dev } : {}), optional: true } }
    }),
)

const unclear = added.filter(({ entry }) => !entry.os || !entry.cpu)
if (unclear.length > 0) {
  // Without a platform npm would install them everywhere.
  const names = unclear.map(({ name }) => name).join(', ')
  console.error(`package-lock.json is unchanged: add by hand ${names}, whose names do not say what they run on.`)
  process.exit(1)
}

const additions = Object.fromEntries(added.map(({ name, entry }) => [`node_modules/${name}`, entry]))
const inOrder = Object.entries({ ...packages, ...additions }).sort(([one], [other]) => one.localeCompare(other, 'en'))
lockfile.packages = Object.fromEntries(inOrder)
if (added.length > 0) writeFileSync(path, `${JSON.stringify(lockfile, null, 2)}\n`)
console.log(`package-lock.json: ${added.length} platform packages added`)
