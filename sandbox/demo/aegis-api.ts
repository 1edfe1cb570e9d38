/** The few calls of the API that the demo makes, as any client would. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RemediationDetail } from '../../api/remediation-views.ts'

export type RemediationView = RemediationDetail

export type AegisApi = ReturnType<typeof aegisApi>

const closeLimitMs = 120_000

export function aegisApi(url: string, key: string) {
  async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  const show = (id: string) => call<RemediationView>('GET', `/api/v1/remediations/${id}`)

  return {
    call,
    show,
    remediate: async (body: object) => (await call<{ id: string }>('POST', '/api/v1/remediations', body)).id,
    /** The one remediation of a namespace, once there is one. */
    async findIn(namespace: string): Promise<string | undefined> {
      const { items } = await call<{ items: { id: string }[] }>('GET', `/api/v1/remediations?namespace=${namespace}`)
      return items[0]?.id
    },
    /** Follows a remediation; tells each new phase. Ends with the view `done` accepts. */
    async follow(id: string, done: (view: RemediationView) => boolean, onPhase: (view: RemediationView) => void): Promise<RemediationView> {
      const deadline = Date.now() + closeLimitMs
      let phase = ''
      for (;;) {
        const view = await show(id)
        if (view.phase !== phase) onPhase(view)
        phase = view.phase
        if (done(view)) return view
        if (Date.now() > deadline) throw new Error(`remediation ${id} is still ${view.phase} after ${closeLimitMs / 1000} s`)
        await sleep(200)
      }
    },
  }
}

export const isClosed = ({ phase }: RemediationView): boolean => phase === 'closed'
