/** What the person at the terminal sees. Colour and the live lines only where there is a terminal. */
import type { Played } from './report.ts'

const isTerminal = process.stdout.isTTY === true
const paint = (code: number) => (text: string) => (isTerminal ? `\u001b[${code}m${text}\u001b[0m` : text)
const green = paint(32)
const red = paint(31)
const dim = paint(2)
const bold = paint(1)

const begun = Date.now()
const clock = () => dim(`${((Date.now() - begun) / 1000).toFixed(1).padStart(5)} s`)

export const say = (line: string): void => console.log(`${clock()}  ${line}`)
export const tellOf = (id: string) => (line: string): void => say(`${bold(`(${id})`)} ${line}`)
export const heading = (line: string): void => console.log(`\n${bold(line)}`)

export function table(played: readonly Played[]): void {
  heading('What happened')
  for (const { incident, view, problems, seconds } of played) {
    const ok = problems.length === 0
    const { mutations } = incident.expect
    const effects = mutations === 0 ? 'nothing touched' : mutations === 1 ? 'one change' : 'one change, one undo'
    const ended = (view?.outcome ?? 'no ending').padEnd(11)
    console.log(`  ${ok ? green('✓') : red('✗')} (${incident.id}) ${incident.name.padEnd(52)} ${(ok ? green : red)(ended)} ${effects.padEnd(20)} ${dim(`${seconds.toFixed(1)} s`)}`)
    for (const problem of problems) console.log(`      ${red(problem)}`)
  }
}
