/** `tsx sandbox/sweep.ts <directory>`: ends the servers of a stack whose starter is gone. The watchdog runs it. */
import { argv } from 'node:process'
import { endServers } from './processes.ts'
import { removeOutsideData } from './servers/postgres.ts'

const [, , directory] = argv
if (!directory) throw new Error('usage: tsx sandbox/sweep.ts <directory>')
await endServers(directory)
await removeOutsideData(directory)
