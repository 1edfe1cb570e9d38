/** The policy questions that the command line answers, asked of the record that the incidents left. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { checkout } from '../setup/programs.mjs'
import type { Aegis } from '../aegis.ts'
import { namespaceOf } from './incidents.ts'
import { replicas, workloadName } from './workloads.ts'

type Asked = { code: number; text: string }

/** One command a line, as a person would type it. Returns what did not come out as it should. */
export async function whatIf({ url, apiKey }: Aegis, cluster: string, show: (line: string) => void): Promise<string[]> {
  const aegis = (...args: string[]): Promise<Asked> => {
    show(`$ aegis ${args.map((arg) => (/[{ ]/.test(arg) ? `'${arg}'` : arg)).join(' ')}`)
    const options = { cwd: checkout, env: { ...process.env, AEGIS_URL: url, AEGIS_API_KEY: apiKey }, timeout: 30_000 }
    return new Promise((resolve) => {
      execFile(process.execPath, [join(checkout, 'cli/aegis.mjs'), ...args], options, (failure, out, err) => {
        for (const line of `${out}${err}`.trimEnd().split('\n')) show(`  ${line}`)
        resolve({ code: typeof failure?.code === 'number' ? failure.code : failure ? -1 : 0, text: out })
      })
    })
  }
  const scale = `k8s:${cluster}/${namespaceOf('d')}/deployment/${workloadName}`
  const explained = await aegis('policy', 'explain', 'deployment:scale', scale, '--request', `{"replicas": ${replicas + 2}}`)
  const simulated = await aegis('policy', 'simulate', join('policies', 'demo'), '--max-newly-allowed', '0')
  return [
    ...(explained.code === 1 && explained.text.includes('wanted lte 2') ? [] : ['the explanation should deny and name the changed line']),
    ...(simulated.code === 1 && simulated.text.includes('deny -> act') ? [] : ['the simulation should find what the old line would let through']),
  ]
}
