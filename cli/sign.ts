import { readFileSync } from 'node:fs'
import { readText } from './callers.ts'
import { text, type Command } from './command.ts'
import { Usage } from './connection.ts'
import { callerKey, signRequest } from './signing.ts'

/** The key comes from a file and never from the command line, which every process of the machine can read. */
export const sign: Command = {
  usage: 'sign <method> <address or path> --key-id id --key-file file --audience name [--body file] [--idempotency-key key] [--life seconds]',
  summary: 'sign a request with a caller key and print its headers, for `curl --header @file`',
  arguments: [2, 2],
  offline: true,
  options: {
    'key-id': { type: 'string', value: 'id', describe: 'as `aegis caller create` showed it' },
    'key-file': { type: 'string', value: 'file', describe: 'the secret (aegis_caller_…), or an Ed25519 private key in PEM' },
    audience: { type: 'string', value: 'name', describe: 'AEGIS_AUDIENCE of the installation that is called' },
    body: { type: 'string', value: 'file', describe: 'the very bytes that will be sent; - for standard input' },
    'idempotency-key': { type: 'string', value: 'key', describe: 'signed and printed with the rest' },
    life: { type: 'string', value: 'seconds', describe: 'how long it is good for, 1 to 300 (300)' },
  },
  run: async (context) => {
    const { positionals: [method = '', url = ''], output } = context
    const [keyId, keyFile, audience] = ['key-id', 'key-file', 'audience'].map((option) => text(context, option))
    if (!keyId || !keyFile || !audience) throw new Usage('a signature needs --key-id, --key-file and --audience')
    const [bodyFile, idempotencyKey, life] = [text(context, 'body'), text(context, 'idempotency-key'), text(context, 'life') ?? '300']
    if (!/^\d{1,3}$/.test(life) || Number(life) < 1 || Number(life) > 300) throw new Usage(`--life must be 1 to 300 seconds, not \`${life}\``)
    if (!URL.canParse(url, 'http://aegis.invalid')) throw new Usage(`\`${url}\` is neither an address nor a path`)
    const body = bodyFile === undefined ? {} : { body: readBytes(bodyFile) }
    const request = { method, url, ...body, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) }
    const headers = signRequest(request, keyOf(keyId, keyFile), { audience, lifeS: Number(life) })
    output.result(headers, Object.entries(headers).map(([name, value]) => `${name}: ${value}`))
    return 0
  },
}

function keyOf(keyId: string, file: string) {
  try {
    return callerKey(keyId, readText(file))
  } catch (failure) {
    if (failure instanceof Usage) throw failure
    throw new Usage(`\`${file}\` holds no key: ${(failure as Error).message}`)
  }
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file)
  } catch (failure) {
    throw new Usage(`\`${file}\` cannot be read (${(failure as NodeJS.ErrnoException).code})`)
  }
}
