import { behindActionIndex } from './combine.ts'
import type { Features, Load } from './engine.ts'

type Entry = Features & {
  name: string
  /** An engine's code is read only in the process that measures it. */
  open(): Promise<{ load: Load }>
  /** One set of policies for each action. */
  indexed?: true
  /** Of Node, for that process. */
  flags?: readonly string[]
}

const cel = { explanation: 'no', unknownSafe: false, obligations: false } as const
/** Without the flag Node 20 and 22 abort in the middle of it: V8 trips over a call into WebAssembly that it had inlined. */
const cedar = { explanation: 'yes', unknownSafe: false, obligations: false, flags: ['--no-turbo-inline-js-wasm-calls'] } as const
const [celJs, marcbachmann, bufbuild, cedarWasm] = [
  () => import('./cel-js.ts'),
  () => import('./marcbachmann-cel.ts'),
  () => import('./bufbuild-cel.ts'),
  () => import('./cedar.ts'),
]

export const aegis = 'Aegis'
export const reference = 'plain linear reference'

export const catalogue: readonly Entry[] = [
  { name: aegis, explanation: 'yes', unknownSafe: true, obligations: true, open: () => import('./aegis.ts') },
  { name: reference, explanation: 'no', unknownSafe: false, obligations: false, open: () => import('./reference.ts') },
  { name: '@casl/ability 7.0.1', explanation: 'one rule', unknownSafe: false, obligations: false, open: () => import('./casl.ts') },
  { name: 'casbin 5.51.1', explanation: 'one rule', unknownSafe: false, obligations: false, open: () => import('./casbin.ts') },
  { name: '@marcbachmann/cel-js 8.0.0', ...cel, open: marcbachmann },
  { name: '@marcbachmann/cel-js, action index', ...cel, open: marcbachmann, indexed: true },
  { name: '@bufbuild/cel 0.6.1', ...cel, open: bufbuild },
  { name: '@bufbuild/cel, action index', ...cel, open: bufbuild, indexed: true },
  { name: 'cel-js 0.8.2', ...cel, open: celJs },
  { name: 'cel-js, action index', ...cel, open: celJs, indexed: true },
  { name: 'cedar-wasm 4.13.0', ...cedar, open: cedarWasm },
  { name: 'cedar-wasm, action index', ...cedar, open: cedarWasm, indexed: true },
  { name: 'json-rules-engine 7.3.1', explanation: 'yes', unknownSafe: false, obligations: false, open: () => import('./json-rules-engine.ts') },
]

export async function loadOf(name: string): Promise<Load> {
  const entry = catalogue.find((each) => each.name === name)
  if (!entry) throw new Error(`there is no engine \`${name}\``)
  const { load } = await entry.open()
  return entry.indexed ? behindActionIndex(load) : load
}
