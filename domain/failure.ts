/** Why something could not be done, in the words an operator would use. */
export type FailureKind =
  | 'invalid' // it makes no sense; asking again will not help
  | 'forbidden' // a policy or the cluster's RBAC said no
  | 'missing'
  | 'conflict' // someone else got there first; theirs stands
  | 'limited' // a rate, a budget or a PodDisruptionBudget held; room comes back with time
  | 'unavailable' // something we depend on did not answer

/**
 * What stopped us. Expected endings (`denied`, `overtaken`) are return values instead, and anything
 * else that escapes is a bug and looks like one.
 */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly kind: FailureKind
  /** A stable code for programs, such as `pdb_exhausted`; the message is for people. */
  readonly code: string
  constructor(kind: FailureKind, code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
    this.code = code
  }
}
