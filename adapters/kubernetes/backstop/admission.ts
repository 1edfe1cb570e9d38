import { mostReplicas } from '../../../domain/actions/scale_deployment.ts'
import { stateKey } from '../../../domain/freeze.ts'
import { protectedNamespaces } from '../../../domain/namespaces.ts'
import type { ActionName } from '../../../domain/remediation.ts'
import { evictionAnnotation, longestId, stampAnnotation } from '../../../domain/stamp.ts'
import { executorAccount, executorPolicy, freezeObject, freezeObjectPolicy, freezePolicy, guardAccount, managedLabel, proofAnnotation, systemNamespace, userOf } from './names.ts'
import type { KubernetesObject } from './roles.ts'

/**
 * What the cluster itself lets the execution worker's account do, whoever uses its credentials: three policies in CEL.
 * The first knows no parameters and holds for that account alone. The second reads the freeze; a missing parameter
 * object denies before anybody asks whose request it is, so it matches no more than it must. The third keeps that
 * object from going missing.
 */

type Validation = { expression: string; message: string }
type Variable = { name: string; expression: string }

const quoted = (text: string): string => `'${text}'`
const listOf = (texts: readonly string[]): string => `[${texts.map(quoted).join(', ')}]`
const isUser = (account: string): string => `request.userInfo.username == ${quoted(userOf(account))}`

const isDeployment = `request.operation == 'UPDATE' && request.resource.group == 'apps' && request.resource.resource == 'deployments' && request.?subResource.orValue('') == ''`
const isPod = `request.operation == 'UPDATE' && request.resource.group == '' && request.resource.resource == 'pods' && request.?subResource.orValue('') == ''`
const isEviction = `request.operation == 'CREATE' && request.resource.group == '' && request.resource.resource == 'pods' && request.?subResource.orValue('') == 'eviction'`

/** Annotations of an object, and the stamp among them. */
const annotationsOf = (object: string): string => `has(${object}.metadata.annotations) ? ${object}.metadata.annotations : {}`
const valueIn = (map: string, key: string): string => `${quoted(key)} in ${map} ? ${map}[${quoted(key)}] : ''`

const what: Variable[] = [
  { name: 'isDeployment', expression: isDeployment },
  { name: 'isPod', expression: isPod },
  { name: 'isEviction', expression: isEviction },
]

/** Of a Deployment: the field that a write changes. Only looked at where the request is one. */
const changes: Variable[] = [
  { name: 'scales', expression: 'variables.isDeployment && object.spec.?replicas != oldObject.spec.?replicas' },
  { name: 'rolls', expression: 'variables.isDeployment && object.spec.template != oldObject.spec.template' },
]

/** Fields that neither action touches. One the API server does not know yet is absent on both sides. */
const otherSpecFields = ['selector', 'strategy', 'minReadySeconds', 'revisionHistoryLimit', 'paused', 'progressDeadlineSeconds']
const otherMetadataFields = ['labels', 'finalizers', 'ownerReferences']
/** What would give a pod more rights than it had; no rollback of code needs it. */
const podRights = ['serviceAccountName', 'hostNetwork', 'hostPID', 'hostIPC']
const same = (path: string, field: string): string => `object.${path}.?${field} == oldObject.${path}.?${field}`
const allSame = (path: string, fields: readonly string[]): string => fields.map((field) => same(path, field)).join(' && ')

const executorVariables: Variable[] = [
  ...what,
  ...changes,
  { name: 'annotations', expression: annotationsOf('object') },
  { name: 'before', expression: annotationsOf('oldObject') },
  { name: 'stamp', expression: valueIn('variables.annotations', stampAnnotation) },
  { name: 'stampBefore', expression: valueIn('variables.before', stampAnnotation) },
  {
    name: 'onlyOurAnnotation',
    expression: `variables.annotations.all(key, key == ${quoted(stampAnnotation)} || (key in variables.before && variables.before[key] == variables.annotations[key])) && variables.before.all(key, key == ${quoted(stampAnnotation)} || key in variables.annotations)`,
  },
]

/** Ten stamps take less; anything longer is not one of ours. */
const longestStamp = 2_000

const executorValidations: Validation[] = [
  { expression: 'variables.isDeployment || variables.isPod || variables.isEviction', message: 'Aegis changes deployments, stamps pods and evicts them: nothing else' },
  {
    expression: `namespaceObject != null && has(namespaceObject.metadata.labels) && ${quoted(managedLabel)} in namespaceObject.metadata.labels && namespaceObject.metadata.labels[${quoted(managedLabel)}] == 'true' && !(request.?namespace.orValue('') in ${listOf(protectedNamespaces)})`,
    message: `the namespace is not one that Aegis may act in: it carries no label ${managedLabel}=true, or is protected`,
  },
  { expression: `!(variables.isDeployment || variables.isPod) || (variables.stamp != '' && size(variables.stamp) <= ${longestStamp})`, message: `a write has to carry the stamp ${stampAnnotation}` },
  {
    expression: `!(variables.scales || variables.rolls) || (variables.stamp != variables.stampBefore && (variables.stamp.endsWith('"phase":"applied"}]') || variables.stamp.endsWith('"phase":"undone"}]')))`,
    message: 'a change has to be stamped in the same write, as applied or undone',
  },
  { expression: '!(variables.scales && variables.rolls)', message: 'one write changes the replicas or the template, not both' },
  { expression: `!variables.scales || (has(object.spec.replicas) && object.spec.replicas >= 0 && object.spec.replicas <= ${mostReplicas})`, message: `replicas go from 0 to ${mostReplicas}` },
  {
    expression: `!variables.isDeployment || (${allSame('spec', otherSpecFields)})`,
    message: 'of a deployment only its replicas or its template may change',
  },
  { expression: `!variables.rolls || (${allSame('spec.template.spec', podRights)})`, message: 'a rollback may not change the account or the host rights of the pods' },
  {
    expression: `!(variables.isDeployment || variables.isPod) || (variables.onlyOurAnnotation && ${allSame('metadata', otherMetadataFields)})`,
    message: `of the metadata only ${stampAnnotation} may change`,
  },
  { expression: '!variables.isPod || object.spec == oldObject.spec', message: 'a pod may be stamped, not changed' },
  {
    expression: `!variables.isEviction || (has(object.metadata.annotations) && ${quoted(evictionAnnotation)} in object.metadata.annotations && size(object.metadata.annotations[${quoted(evictionAnnotation)}]) > 0 && size(object.metadata.annotations[${quoted(evictionAnnotation)}]) <= ${longestId})`,
    message: `an eviction has to name its remediation in ${evictionAnnotation}`,
  },
  {
    expression: `!variables.isEviction || (has(object.deleteOptions) && has(object.deleteOptions.preconditions) && has(object.deleteOptions.preconditions.uid) && size(object.deleteOptions.preconditions.uid) > 0 && has(object.deleteOptions.preconditions.resourceVersion) && !has(object.deleteOptions.gracePeriodSeconds))`,
    message: 'an eviction has to name the UID and the resourceVersion of its pod, and leaves the grace period alone',
  },
]

const api = 'admissionregistration.k8s.io/v1'

/** Its matching is the whole cluster's writes, told apart by the first word of each: whose they are. */
const executorAdmission = (): KubernetesObject[] => [
  {
    apiVersion: api,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: executorPolicy },
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: { resourceRules: [{ apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*'] }] },
      matchConditions: [{ name: 'executor', expression: isUser(executorAccount) }],
      variables: executorVariables,
      validations: executorValidations,
    },
  },
  { apiVersion: api, kind: 'ValidatingAdmissionPolicyBinding', metadata: { name: executorPolicy }, spec: { policyName: executorPolicy, validationActions: ['Deny'] } },
]

/** A request as the freeze sees it. A proof says all of it in one annotation: freeze, namespace, action, remediation. */
const actionOf: Record<ActionName, string> = { restart_pod: 'variables.isEviction', rollback_deployment: 'variables.rolls', scale_deployment: 'variables.scales' }
const proofPart = (place: number, otherwise: string): string => `variables.isProof ? variables.proof[${place}] : ${otherwise}`

const freezeVariables: Variable[] = [
  ...what,
  ...changes,
  { name: 'isProof', expression: `request.resource.resource == 'configmaps'` },
  { name: 'proof', expression: `variables.isProof ? object.metadata.annotations[${quoted(proofAnnotation)}].split('/') : []` },
  { name: 'places', expression: 'has(params.data) ? params.data : {}' },
  { name: 'freeze', expression: proofPart(0, `''`) },
  { name: 'where', expression: proofPart(1, `request.?namespace.orValue('')`) },
  { name: 'action', expression: proofPart(2, `(${Object.entries(actionOf).map(([action, is]) => `${is} ? ${quoted(action)} : `).join('')}'')`) },
  { name: 'annotations', expression: annotationsOf('object') },
  { name: 'remediations', expression: proofPart(3, `(variables.isEviction ? (${valueIn('variables.annotations', evictionAnnotation)}) : (${valueIn('variables.annotations', stampAnnotation)}))`) },
  {
    name: 'keys',
    expression: `['freeze.all', 'freeze.namespace.' + variables.where, 'freeze.action.' + variables.action, 'freeze.namespace.' + variables.where + '.action.' + variables.action, 'policy.' + variables.freeze]`,
  },
]

/** A fence changes nothing but the stamp: it is let through while everything is frozen, or no late call could be shut out. */
const isFence = `variables.action == ''`
const covers = (key: string): string => `(variables.freeze == '' || variables.places[${key}].contains(variables.freeze))`

const freezeValidations: Validation[] = [
  { expression: `${isFence} || ${quoted(stateKey)} in variables.places`, message: 'no guard has said yet what is frozen here: everything is' },
  { expression: `${isFence} || !variables.keys.exists(key, key in variables.places && ${covers('key')})`, message: 'frozen' },
  {
    expression: `${isFence} || !variables.places.exists(key, key.startsWith('held.') && variables.remediations.contains(key.substring(5)) && ${covers('key')})`,
    message: 'frozen: a policy behind this remediation is',
  },
  {
    expression: `!variables.scales || !('maxReplicas' in variables.places) || object.spec.?replicas.orValue(1) <= int(variables.places['maxReplicas'])`,
    message: 'more replicas than the parameter object allows',
  },
]

const freezeRules = [
  { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['deployments'] },
  { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['pods'] },
  { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods/eviction'] },
]
const objectRule = { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['configmaps'], resourceNames: [freezeObject] }
const paramRef = { name: freezeObject, namespace: systemNamespace, parameterNotFoundAction: 'Deny' }

const freezeBinding = (name: string, matchResources: object): KubernetesObject => ({
  apiVersion: api,
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name },
  spec: { policyName: freezePolicy, paramRef, validationActions: ['Deny'], matchResources },
})

const freezeAdmission = (): KubernetesObject[] => [
  {
    apiVersion: api,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: freezePolicy },
    spec: {
      failurePolicy: 'Fail',
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConstraints: { resourceRules: [...freezeRules, objectRule] },
      matchConditions: [
        {
          name: 'executor-or-proof',
          expression: `${isUser(executorAccount)} || (${isUser(guardAccount)} && request.resource.resource == 'configmaps' && request.?dryRun.orValue(false) && has(object.metadata.annotations) && ${quoted(proofAnnotation)} in object.metadata.annotations)`,
        },
      ],
      variables: freezeVariables,
      validations: freezeValidations,
    },
  },
  freezeBinding(freezePolicy, { resourceRules: freezeRules, namespaceSelector: { matchLabels: { [managedLabel]: 'true' } } }),
  freezeBinding(`${freezePolicy}-proof`, { resourceRules: [objectRule], namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': systemNamespace } } }),
]

/** Without the object nobody could change a managed deployment: it does not go before the bindings that ask for it. */
const objectAdmission = (): KubernetesObject[] => [
  {
    apiVersion: api,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: freezeObjectPolicy },
    spec: {
      failurePolicy: 'Fail',
      // A collection is deleted without a name: so does whoever deletes the namespace.
      matchConstraints: { resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['DELETE'], resources: ['configmaps'] }] },
      validations: [{ expression: `!(request.?name.orValue('') in ['', ${quoted(freezeObject)}])`, message: `delete the ValidatingAdmissionPolicyBindings ${freezePolicy}, ${freezePolicy}-proof and ${freezeObjectPolicy} first: without this object they refuse every change in managed namespaces, whoever makes it` }],
    },
  },
  {
    apiVersion: api,
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: freezeObjectPolicy },
    spec: { policyName: freezeObjectPolicy, validationActions: ['Deny'], matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': systemNamespace } } } },
  },
]

/** Without data: applied again, it takes nothing back that a guard wrote, and until one has written everything is frozen. */
const parameterObject = (): KubernetesObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: freezeObject, namespace: systemNamespace } })

export const admissionObjects = (): Record<'object' | 'executor' | 'freeze', KubernetesObject[]> => ({
  object: [parameterObject(), ...objectAdmission()],
  executor: executorAdmission(),
  freeze: freezeAdmission(),
})
