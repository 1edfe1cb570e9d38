/**
 * `tsx sandbox/up.ts [directory] [cluster,cluster…]`: starts the stack, prints where stack.json is, stays until SIGTERM
 * or Ctrl-C. For working on one part of Aegis by hand.
 */
import { argv } from 'node:process'
import { defaultDirectory, stackFile, startStack } from './stack.ts'

const [, , directory = defaultDirectory, clusters = 'main'] = argv

try {
  const stack = await startStack({ directory, clusters: clusters.split(','), progress: (line) => console.error(line) })
  console.log(stackFile(stack.directory))
  setInterval(() => undefined, 60_000) // nothing else keeps this process alive
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure)
  process.exitCode = 1
}
