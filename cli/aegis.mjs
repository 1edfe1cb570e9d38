#!/usr/bin/env node
// The sources are TypeScript and run without a build: register the loader, then start.
import { register } from 'tsx/esm/api'

register()
const { main } = await import('./main.ts')
process.exitCode = await main(process.argv.slice(2))
