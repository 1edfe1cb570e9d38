import { z } from 'zod'
import { accountRoutes } from './account.ts'
import { alertRoutes } from './alerts.ts'
import { answerRoutes } from './answers.ts'
import { auditRoutes } from './audit.ts'
import { authRoutes } from './auth.ts'
import { authzenRoutes } from './authzen.ts'
import { autonomyRoutes } from './autonomy.ts'
import { callerKeyRoutes } from './caller-keys.ts'
import { executorRoutes } from './executor.ts'
import { breakGlassRoutes } from './break-glass.ts'
import { breakerRoutes } from './breakers.ts'
import { delegationRoutes } from './delegations.ts'
import { escalationRoutes } from './escalations.ts'
import { stoppingRoutes } from './freeze.ts'
import { freezeWindowRoutes } from './freeze-windows.ts'
import { healthRoutes } from './health.ts'
import { keyRoutes } from './keys.ts'
import { oidcRoutes } from './oidc.ts'
import { policyRoutes } from './policy.ts'
import { remediationRoutes } from './remediations.ts'
import { policyAuditRoutes } from './policy-audit.ts'
import { policyEditRoutes } from './policy-edit.ts'
import { policyChangeRoutes } from './policy-changes.ts'
import { policyExceptionRoutes } from './policy-exceptions.ts'
import { policyLintRoutes } from './policy-lint.ts'
import { policyTrialRoutes } from './policy-trial.ts'
import { policyTestRoutes } from './policy-test.ts'
import { simulateRoutes } from './simulate.ts'
import { openApiDocument } from './openapi.ts'
import { userRoutes } from './users.ts'
import { publicRoute, reply, type Route } from './route.ts'

/** The whole API: what the server mounts, what OpenAPI describes, what the tests walk through. */
export const routes: readonly Route[] = [
  ...remediationRoutes,
  ...answerRoutes,
  ...breakGlassRoutes,
  ...delegationRoutes,
  ...escalationRoutes,
  ...executorRoutes,
  ...alertRoutes,
  ...stoppingRoutes,
  ...freezeWindowRoutes,
  ...breakerRoutes,
  ...autonomyRoutes,
  ...auditRoutes,
  ...policyRoutes,
  ...simulateRoutes,
  ...policyTestRoutes,
  ...policyEditRoutes,
  ...policyExceptionRoutes,
  ...policyTrialRoutes,
  ...policyChangeRoutes,
  ...policyAuditRoutes,
  ...authzenRoutes,
  ...policyLintRoutes,
  ...keyRoutes,
  ...callerKeyRoutes,
  ...authRoutes,
  ...oidcRoutes,
  ...accountRoutes,
  ...userRoutes,
  ...healthRoutes,
  publicRoute({
    path: '/openapi.json',
    summary: 'This document',
    tag: 'Health',
    output: { 200: z.looseObject({ openapi: z.string() }) },
    handle: async ({ deps }) => reply(200, openApiDocument(routes, deps.settings.version)),
  }),
]
