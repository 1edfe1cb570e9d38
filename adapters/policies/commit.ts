import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import type { PolicyFile } from './files.ts'
import { stagedBlobs } from './git-index.ts'

const sha = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/
/** Directories above the policies in which a repository is looked for. */
const mostLevels = 16

/**
 * The commit that is checked out where this directory lies, if these files are what Git has of them; null outside a
 * checkout, and for files that Git does not have, or has otherwise. Read from its files, no program is run.
 */
export async function commitOf(directory: string, files: readonly PolicyFile[]): Promise<string | null> {
  const checkout = await checkoutOf(resolve(directory))
  const head = checkout && (await text(join(checkout.git, 'HEAD')))
  if (!checkout || !head) return null
  const ref = /^ref: (refs\/[\w./+-]+)$/.exec(head)?.[1]
  const commit = ref === undefined ? shaIn(head) : await resolved(checkout.git, ref)
  return commit && (await allStaged(checkout, resolve(directory), files, commit.length === 64 ? 'sha256' : 'sha1')) ? commit : null
}

type Checkout = { git: string; root: string }

async function checkoutOf(start: string): Promise<Checkout | null> {
  let root = start
  for (let level = 0; level < mostLevels; level++) {
    const place = join(root, '.git')
    const found = await stat(place).catch(() => null)
    if (found?.isDirectory()) return { git: place, root }
    // A worktree or a submodule says where its repository is.
    if (found?.isFile()) return { git: resolve(root, /^gitdir: (.+)$/.exec((await text(place)) ?? '')?.[1] ?? '.git'), root }
    if (dirname(root) === root) return null
    root = dirname(root)
  }
  return null
}

async function allStaged({ git, root }: Checkout, directory: string, files: readonly PolicyFile[], hash: 'sha1' | 'sha256'): Promise<boolean> {
  const index = await readFile(join(git, 'index')).catch(() => null)
  const staged = index && stagedBlobs(index, hash === 'sha1' ? 20 : 32)
  if (!staged) return false
  return files.every(({ name, text: content }) => staged.get(relative(root, join(directory, name)).replaceAll('\\', '/')) === blobId(content, hash))
}

function blobId(content: string, hash: 'sha1' | 'sha256'): string {
  const bytes = Buffer.from(content)
  return createHash(hash).update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
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
