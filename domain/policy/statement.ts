import { canonicalJson } from '../canonical.ts'

/** What is signed of a snapshot. The hash covers every policy's id and content; `seq` keeps an old one from coming back. */
export type SnapshotStatement = {
  type: 'aegis-policy-snapshot-v1'
  seq: number
  /** `sha256:…`, as decisions name it. */
  hash: string
  keyId: string
}

export const statementText = (statement: SnapshotStatement): string => canonicalJson(statement)

/** Undefined for anything but the canonical text of a statement: two texts for one meaning would be two things to sign. */
export function parseStatement(text: string): SnapshotStatement | undefined {
  try {
    const statement = JSON.parse(text) as SnapshotStatement
    const { type, seq, hash, keyId } = statement
    const sound = type === 'aegis-policy-snapshot-v1' && Number.isSafeInteger(seq) && typeof hash === 'string' && typeof keyId === 'string'
    return sound && statementText({ type, seq, hash, keyId }) === text ? statement : undefined
  } catch {
    return undefined
  }
}
