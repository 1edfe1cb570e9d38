import { sha256Hex } from '../signing.ts'
import { compileCel } from './cel.ts'
import { wallClock, zoneExists } from './zones.ts'

/** What the policy engine needs of the outside world, to read a document and to compile a set of them. */
export const reading = { zoneExists, compileCel }
export const compiling = { sha256: sha256Hex, wallClock, compileCel }
