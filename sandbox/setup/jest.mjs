// Starts jest: `node sandbox/setup/jest.mjs [--long] [jest arguments]`. --long also runs the tests that take minutes.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { checkout } from './programs.mjs'

const args = process.argv.slice(2)
const nodeOptions = [process.env.NODE_OPTIONS, '--experimental-vm-modules', '--disable-warning=ExperimentalWarning']

const jest = spawn(
  process.execPath,
  [join(checkout, 'node_modules/jest/bin/jest.js'), ...args.filter((arg) => arg !== '--long')],
  {
    cwd: checkout,
    stdio: 'inherit',
    env: {
      ...process.env,
      NODE_OPTIONS: nodeOptions.filter(Boolean).join(' '),
      ...(args.includes('--long') ? { AEGIS_TEST_LONG: '1' } : {}),
    },
  },
)

// A terminal sends Ctrl-C to both of us; who signals this process alone means the tests. We wait for them to tidy up.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => signal !== 'SIGINT' && jest.kill(signal))
jest.once('exit', (code) => process.exit(code ?? 1))
