import { main } from '../../cli/main.ts'

export type Ran = { code: number; out: string; err: string }
export type Runner = (...args: string[]) => Promise<Ran>

/** The CLI in this process, as somebody with this key would run it in `directory`. */
export function cli({ url, key, directory, terminal = false }: { url: string; key: string; directory: string; terminal?: boolean }): Runner {
  return async (...args) => {
    const [out, err]: [string[], string[]] = [[], []]
    const env = { AEGIS_URL: url, AEGIS_API_KEY: key }
    const code = await main(args, { out: (text) => void out.push(text), err: (text) => void err.push(text), terminal, env, directory })
    return { code, out: out.join(''), err: err.join('') }
  }
}
