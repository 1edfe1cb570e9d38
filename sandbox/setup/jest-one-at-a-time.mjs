// The runner of live tests. They share one stack and two processors: one test file at a time, in a process of its own.
import { createRequire } from 'node:module'

const { resolve } = createRequire(createRequire(import.meta.url).resolve('jest'))
const { default: runner } = await import(createRequire(resolve('@jest/core')).resolve('jest-runner'))
const TestRunner = runner.default ?? runner

export default class OneAtATime extends TestRunner {
  constructor(globalConfig, context) {
    super({ ...globalConfig, maxWorkers: 1 }, context)
  }

  // jest would run a handful of fast files inside its own process, the one that holds the stack.
  runTests(tests, watcher, options) {
    return super.runTests(tests, watcher, { ...options, serial: false })
  }
}
