/** Someone with a key, as far as these tests need one. */
import type { RemediationDetail } from '../../api/remediation-views.ts'
import { eventually } from './stack.ts'

export type Asked = { status: number; headers: Headers; body: Record<string, unknown> }

export type Operator = ReturnType<typeof operator>

export function operator(url: string, key: string) {
  async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Asked> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, headers: response.headers, body: (await response.json()) as Asked['body'] }
  }
  async function must(method: string, path: string, body?: unknown): Promise<Asked['body']> {
    const answer = await ask(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const show = async (id: string) => (await must('GET', `/api/v1/remediations/${id}`)) as unknown as RemediationDetail

  return {
    ask,
    must,
    show,
    remediate: async (body: object) => String((await must('POST', '/api/v1/remediations', body))['id']),
    /** Waits until the remediation stands where `is` says. */
    until: (id: string, what: string, is: (view: RemediationDetail) => boolean, limitMs = 40_000) =>
      eventually(`${id} ${what}`, async () => {
        const view = await show(id)
        return is(view) && view
      }, limitMs),
    /** Another person's key, with the roles given. */
    async another(owner: string, roles: string[]): Promise<{ url: string; key: string }> {
      const { key } = await must('POST', '/api/v1/keys', { name: `${owner}-key`, owner, roles })
      return { url, key: String(key) }
    },
  }
}
