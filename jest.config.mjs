import { existsSync } from 'node:fs'

// Only the rooms: jest would otherwise crawl .aegis and take etcd's *.snap files for snapshots of its own.
const rooms = ['domain', 'workflows', 'activities', 'adapters', 'temporal', 'workers', 'api', 'cli', 'migrations', 'sandbox', 'benchmarks']
const present = (folders) => folders.filter((folder) => existsSync(new URL(folder, import.meta.url)))
const inRoot = (folder) => `<rootDir>/${folder}`

// `*.long.test.ts` take many minutes: `npm run test:long` runs them too.
const onlyLong = process.env.AEGIS_TEST_LONG ? [] : ['\\.long\\.test\\.ts$']

const shared = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/fixtures/', ...onlyLong],
  transform: {
    '\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } }],
  },
}

/** @type {import('jest').Config} */
export default {
  workerIdleMemoryLimit: '1GB', // modules loaded natively stay in memory; a fresh process between files frees them
  projects: [
    {
      // Beside the code they test, without servers, in parallel.
      ...shared,
      displayName: 'unit',
      roots: present([...rooms, 'tests/house']).map(inRoot),
      testMatch: ['**/*.test.ts'],
    },
    {
      // Across rooms, on one shared stack of real servers, one file at a time.
      ...shared,
      displayName: 'live',
      roots: present([...rooms, 'tests']).map(inRoot), // the rooms too, because tests import from them
      testMatch: ['<rootDir>/tests/**/*.test.ts'],
      testPathIgnorePatterns: [...shared.testPathIgnorePatterns, '<rootDir>/tests/house/'],
      setupFilesAfterEnv: ['<rootDir>/sandbox/setup/jest-timeout.mjs'],
      runner: '<rootDir>/sandbox/setup/jest-one-at-a-time.mjs',
      globalSetup: '<rootDir>/sandbox/setup/jest-stack.mjs',
      globalTeardown: '<rootDir>/sandbox/setup/jest-stack-stop.mjs',
    },
  ],
}
