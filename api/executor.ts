import { z } from 'zod'
import type { ActionName, ActionParameters, Target } from '../domain/remediation.ts'
import { accept, acceptedReply } from './accept.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import { placeOf } from './scopes.ts'
import * as shape from './shapes.ts'

const tag = 'Executor'

const place = { cluster: shape.labelName.optional(), namespace: shape.labelName }
const onDeployment = { ...place, deploymentName: shape.objectName }
const reason = shape.reason.default('no reason given')

export const executeBody = z.discriminatedUnion('actionType', [
  z.strictObject({ actionType: z.literal('restart_pod'), actionParams: z.strictObject({ ...place, podName: shape.objectName }), reason }),
  z.strictObject({ actionType: z.literal('scale_deployment'), actionParams: z.strictObject({ ...onDeployment, replicas: shape.replicas }), reason }),
  z.strictObject({ actionType: z.literal('rollback_deployment'), actionParams: z.strictObject({ ...onDeployment, revision: shape.revision.optional() }), reason }),
])
type ExecuteBody = z.output<typeof executeBody>

type Order = { action: ActionName; target: Omit<Target, 'cluster'> & { cluster?: string | undefined }; parameters: ActionParameters }

/** The same request in the words of a remediation. */
export function orderOf({ actionType: action, actionParams }: ExecuteBody): Order {
  const { cluster, namespace } = actionParams
  if ('podName' in actionParams) return { action, target: { cluster, namespace, kind: 'Pod', name: actionParams.podName }, parameters: {} }
  const target = { cluster, namespace, kind: 'Deployment', name: actionParams.deploymentName } as const
  if ('replicas' in actionParams) return { action, target, parameters: { replicas: actionParams.replicas } }
  return { action, target, parameters: shape.given({ revision: actionParams.revision }) }
}

const execute = route({
  method: 'post',
  path: '/executor/execute',
  permission: 'remediations:create',
  scope: ({ body }, settings) => placeOf(body.actionParams, settings),
  summary: 'Ask for an action in the words of the executor',
  description: 'Enters the same pipeline as `POST /api/v1/remediations`: policy, limits and people decide. Answers with the id; nothing has happened yet.',
  tag,
  idempotent: true,
  signed: true,
  body: executeBody,
  output: { 202: acceptedReply },
  handle: async (call) => {
    const fields = { cluster: 'actionParams.cluster', namespace: 'actionParams.namespace' }
    const asked = { door: 'executor', severity: 'medium', ...orderOf(call.body), reason: call.body.reason, fields } as const
    return reply(202, await accept(call, asked))
  },
})

const generateSignature = route({
  method: 'post',
  path: '/executor/generate-signature',
  permission: 'remediations:create',
  scope: 'anywhere',
  summary: 'Gone: no endpoint returns a signature',
  tag,
  output: {},
  handle: () => {
    throw new HttpProblem({
      status: 410,
      code: 'no_signing_over_http',
      detail: 'a service that signs whatever it is asked to sign proves nothing, so this one is gone for good',
      nextStep: 'sign where your key is: `aegis sign`, the library in cli/signing.ts or docs/signing.md; send the request to `POST /executor/execute` with that signature or with an API key',
    })
  },
})

export const executorRoutes: Route[] = [execute, generateSignature]
