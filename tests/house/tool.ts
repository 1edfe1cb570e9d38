import { spawn } from 'node:child_process'
import { join } from 'node:path'

export type ToolAnswer = { code: number; stdout: string; stderr: string }

const toolTimeoutMs = 240_000

/**
 * Runs a script of a package with this very Node, never through a shell or the network.
 * `script` is relative to `node_modules`. A tool that takes too long is ended and answers code -1.
 */
export function runTool(root: string, script: string, args: readonly string[], cwd = root): Promise<ToolAnswer> {
  return runNode([join(root, 'node_modules', script), ...args], cwd)
}

export function runNode(args: readonly string[], cwd: string): Promise<ToolAnswer> {
  return new Promise((resolve, reject) => {
    // Jest hands its loader flags down in NODE_OPTIONS; a tool wants none of them.
    const { NODE_OPTIONS: _flags, ...env } = process.env
    const child = spawn(process.execPath, args, { cwd, env, timeout: toolTimeoutMs, stdio: ['ignore', 'pipe', 'pipe'] })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => void out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => void err.push(chunk))
    child.once('error', reject)
    child.once('close', (code) =>
      resolve({ code: code ?? -1, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') }),
    )
  })
}
