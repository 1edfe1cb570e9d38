import { expect, test } from '@jest/globals'
import { lockfileFaults, type LockedPackage } from './lockfile.ts'

const whole: LockedPackage = { version: '1.0.0', integrity: 'sha512-x' }

test.each<[string, Record<string, LockedPackage>, RegExp | undefined]>([
  ['a whole lockfile passes', { '': {}, 'node_modules/a': whole }, undefined],
  ['an address shows', { 'node_modules/a': { ...whole, resolved: 'https://packages.example/a.tgz' } }, /names the address/],
  ['a package without a hash shows', { 'node_modules/a': { version: '1.0.0' } }, /no integrity/],
  ['one for the image needs a hash', { 'node_modules/@a/linux-arm64-gnu': { version: '1.0.0', optional: true, os: ['linux'], cpu: ['arm64'], libc: ['glibc'] } }, /no integrity/],
  ['one for another platform may lack it', { 'node_modules/@a/darwin-arm64': { version: '1.0.0', optional: true, os: ['darwin'], cpu: ['arm64'] } }, undefined],
  [
    'a platform package that was left out shows',
    { 'node_modules/a': { ...whole, optionalDependencies: { '@a/darwin-arm64': '1.0.0' } } },
    /`@a\/darwin-arm64`.* is absent/,
  ],
  [
    'two versions of the Temporal SDK show',
    { 'node_modules/@temporalio/worker': whole, 'node_modules/@temporalio/common': { ...whole, version: '1.1.0' } },
    /pin them to one/,
  ],
])('%s', (_name, packages, expected) => {
  const found = lockfileFaults({ packages })
  expect(found).toHaveLength(expected === undefined ? 0 : 1)
  if (expected !== undefined) expect(found[0]).toMatch(expected)
})
