import { z } from 'zod'
import { publicRoute, reply, route } from './route.ts'
import { routes } from './routes.ts'

const declared = { method: 'get', path: '/api/v1/secrets', scope: 'global', summary: 's', tag: 't', output: { 200: z.strictObject({ ok: z.boolean() }) } } as const

// The first three are held by the compiler: `npm run check` fails when one of these lines stops being an error.
test('a route without a permission, or public where it may not be, does not compile', () => {
  // @ts-expect-error nobody said who may enter
  route({ ...declared, handle: async () => reply(200, { ok: true }) })
  // @ts-expect-error public is not a permission
  route({ ...declared, permission: 'public', handle: async () => reply(200, { ok: true }) })
  // @ts-expect-error only the paths of the list may be public
  publicRoute({ ...declared, handle: async () => reply(200, { ok: true }) })
  // @ts-expect-error nobody said where
  route({ ...declared, scope: undefined, permission: 'config:read', handle: async () => reply(200, { ok: true }) })
  // @ts-expect-error an answer its schema does not know
  route({ ...declared, permission: 'config:read', handle: async () => reply(200, { ok: 'yes' }) })
  expect(route({ ...declared, permission: 'config:read', handle: async () => reply(200, { ok: true }) }).permission).toBe('config:read')
})

test('no two routes share a method and a path', () => {
  const names = routes.map(({ method, path }) => `${method} ${path}`)
  expect(new Set(names).size).toBe(names.length)
})
