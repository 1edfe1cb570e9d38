import type { Client, Connection } from './connection.ts'
import type { Output } from './output.ts'

type OptionSpec = { type: 'string' | 'boolean'; short?: string; describe: string; value?: string }

export type Given = { positionals: string[]; options: Record<string, string | boolean | undefined> }

/** What a command gets: its arguments, a client, and somewhere to write. */
export type Context = Given & { client: Client; connection: Connection; output: Output }

/** One word of the command line (two for `key create`). Its answer is the exit code. */
export type Command = {
  usage: string
  summary: string
  options: Record<string, OptionSpec>
  /** How many arguments besides options it takes. */
  arguments: [min: number, max: number]
  /** Asks no Aegis, and needs to know of none. */
  offline?: true
  run: (context: Context) => Promise<number>
}

export const text = ({ options }: Given, name: string): string | undefined => {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

export const flag = ({ options }: Given, name: string): boolean => options[name] === true
