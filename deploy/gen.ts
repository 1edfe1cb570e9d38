/** `tsx deploy/gen.ts` writes the roles and admission policies of deploy/; with `--check` it only says whether they are fresh. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { admissionObjects } from '../adapters/kubernetes/backstop/admission.ts'
import { executorObjects, guardObjects, managedNamespaceObjects, type KubernetesObject } from '../adapters/kubernetes/backstop/roles.ts'

const admission = admissionObjects()

/** File to objects, with what a reader needs to know first. The numbers make `kubectl apply -f` keep the order. */
const files: Record<string, { about: string; objects: KubernetesObject[] }> = {
  'rbac/executor.yaml': { about: 'The execution worker: in the whole cluster it reads nodes, for a dead node explains pods that are not ready. Everything else is granted per namespace, by deploy/managed-namespace.', objects: executorObjects() },
  'rbac/guard.yaml': { about: 'The guard: it may read and write the one object that says what is frozen.', objects: guardObjects() },
  'managed-namespace/executor.yaml': { about: 'Applied in each namespace that Aegis may act in (`kubectl apply -n <namespace> -f`); docs/deploy.md has the label that goes with it.', objects: managedNamespaceObjects() },
  'admission/1-object.yaml': { about: 'What is frozen here. The guard fills it in.', objects: admission.object },
  'admission/2-executor.yaml': { about: 'What the execution worker may write, whoever uses its credentials.', objects: admission.executor },
  'admission/3-freeze.yaml': { about: 'A frozen cluster refuses the execution worker, except for the stamp that shuts a late call out.', objects: admission.freeze },
}

const textOf = ({ about, objects }: (typeof files)[string]): string =>
  `# Written by \`npm run gen\` from adapters/kubernetes: do not edit.\n# ${about}\n${objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n')}`

function main(args: readonly string[]): void {
  const texts = Object.entries(files).map(([name, content]) => ({ path: join(import.meta.dirname, name), name, text: textOf(content) }))
  const stale = texts.filter(({ path, text }) => readOrEmpty(path) !== text)
  if (!args.includes('--check')) {
    for (const { path, text } of stale) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
  } else if (stale.length > 0) {
    console.error(`${stale.map(({ name }) => `deploy/${name}`).join(', ')}: not what the catalogue of actions says: run \`npm run gen\` and commit it`)
    process.exitCode = 1
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

main(process.argv.slice(2))
