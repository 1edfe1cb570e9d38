import { readFile, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

const sha = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/
/** Directories above the policies in which a repository is looked for. */
const mostLevels = 16

/** The commit that is checked out where this directory lies; null outside a Git checkout. Read from its files, no program is run. */
export async function commitOf(directory: string): Promise<string | null> {
  const git = await gitDirectory(resolve(directory))
  const head = git && (await text(join(git, 'HEAD')))
  if (!git || !head) return null
  const ref = /^ref: (refs\/[\w./+-]+)$/.exec(head)?.[1]
  return ref === undefined ? shaIn(head) : resolved(git, ref)
}

async function gitDirectory(start: string): Promise<string | null> {
  let directory = start
  for (let level = 0; level < mostLevels; level++) {
    const place = join(directory, '.git')
    const found = await stat(place).catch(() => null)
    if (found?.isDirectory()) return place
    // A worktree or a submodule says where its repository is.
    if (found?.isFile()) return resolve(directory, /^gitdir: (.+)$/.exec((await text(place)) ?? '')?.[1] ?? '.git')
    if (dirname(directory) === directory) return null
    directory = dirname(directory)
  }
  return null
}

async function resolved(git: string, ref: string): Promise<string | null> {
  const shared = (await text(join(git, 'commondir'))) ?? '.'
  for (const place of [git, resolve(git, shared)]) {
    const loose = shaIn(await text(join(place, ref)))
    if (loose) return loose
    const packed = (await text(join(place, 'packed-refs')))?.split('\n').find((line) => line.endsWith(` ${ref}`))
    if (packed) return shaIn(packed.split(' ')[0])
  }
  return null
}

const text = async (path: string): Promise<string | null> => (await readFile(path, 'utf8').catch(() => null))?.trim() ?? null

const shaIn = (found: string | null | undefined): string | null => (found && sha.test(found) ? found : null)
