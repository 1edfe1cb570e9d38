import { createLogger, plainLines, scrub } from './log.ts'

const written = (write: (log: ReturnType<typeof createLogger>) => void): string => {
  const lines: string[] = []
  write(createLogger({ name: 'test', level: 'info', destination: { write: (line: string) => void lines.push(line) } }))
  return lines.join('')
}

// Put together here so that no scanner takes the sample for a leaked key.
const sampleKey = ['aegis', 'abcd1234', 'S'.repeat(43)].join('_')

test.each([
  ['a connection string', 'cannot reach postgres://aegis:hunter2@db:5432/aegis', 'cannot reach postgres://aegis:[redacted]@db:5432/aegis'],
  ['an API key', `key ${sampleKey} is unknown`, 'key aegis_abcd1234_[redacted] is unknown'],
  ...['refresh', 'device', 'once', 'caller'].map((kind) => [`a ${kind} token`, `with ${sampleKey.replace('abcd1234', kind)} in it`, `with aegis_${kind}_[redacted] in it`]),
  ['an access token', `got ${['eyJhbGciOiJFZERTQSJ9', 'eyJzdWIiOiJ4In0', 'c2ln'].join('.')} back`, 'got [redacted] back'],
  ['a bearer token', 'authorization: Bearer abc.def-ghi=', 'authorization: Bearer [redacted]'],
  ['plain words', 'scale_deployment shop/cart at 10:30', 'scale_deployment shop/cart at 10:30'],
])('scrubbing %s', (_name, given, wanted) => expect(scrub(given)).toBe(wanted))

test('a secret never reaches the log, whichever way it comes', () => {
  const text = written((log) => {
    log.info({ authorization: 'hunter2', deep: { password: 'hunter2', deeper: { token: 'hunter2' } } }, 'fields')
    log.error({ err: new Error('postgres://aegis:hunter2@db/aegis refused') }, 'an error')
    log.warn(`in words: ${sampleKey}`)
  })
  expect(text).not.toContain('hunter2')
  expect(text).not.toContain('SSSS')
  expect(text.match(/\[redacted\]/g)?.length).toBe(6) // the error's message and its stack
})

test('a line of plain fields is scrubbed as well', () => {
  const text = written((log) => plainLines(log).info({ requestId: sampleKey, method: 'GET' }, 'answered'))
  expect(JSON.parse(text)).toMatchObject({ level: 'info', name: 'test', requestId: 'aegis_abcd1234_[redacted]', method: 'GET', msg: 'answered' })
})

test('what a library wrapped is told, down to the reason', () => {
  const reason = new Error('`https://keys.example` is not an address that may be asked')
  const text = written((log) => log.error({ err: new Error('oidc', { cause: new Error('fetch failed', { cause: reason }) }) }, 'failed'))
  expect((JSON.parse(text) as { err: { cause: string } }).err.cause).toBe('fetch failed: `https://keys.example` is not an address that may be asked')
})

test('words with line breaks and control characters stay inside their line', () => {
  const text = written((log) => log.info({ agent: 'x\n{"level":"info","msg":"forged"}\r\u001b[2J' }, 'a\nb'))
  expect(text.trimEnd().split('\n')).toHaveLength(1)
  expect(text).not.toMatch(/[\r\u001b]/)
})

test('a line is one JSON object with the level as a word', () => {
  expect(JSON.parse(written((log) => log.info({ port: 3000 }, 'listening')))).toMatchObject({ level: 'info', name: 'test', port: 3000, msg: 'listening' })
})
