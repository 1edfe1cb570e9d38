/** What the objects in deploy/ are called, and by whom they are meant. */
export const systemNamespace = 'aegis-system'
export const executorAccount = 'aegis-executor'
export const guardAccount = 'aegis-guard'
export const userOf = (account: string): string => `system:serviceaccount:${systemNamespace}:${account}`

/** The parameter object that admission reads and the guard writes. */
export const freezeObject = 'aegis-freeze'

/** On a namespace: Aegis may act here, and the cluster's admission checks each of its writes. */
export const managedLabel = 'aegis.dev/managed'

/** On a dry run of the guard's: which freeze it asks about, where, for which action and remediation. */
export const proofAnnotation = 'aegis.dev/proof'

export const executorPolicy = 'aegis-executor'
export const freezePolicy = 'aegis-executor-freeze'
export const freezeObjectPolicy = 'aegis-freeze-object'
