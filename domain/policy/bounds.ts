/** What one document may cost. All of it is checked when a document is read, so deciding needs no budget. */
export const bounds = {
  documentBytes: 32 * 1024,
  conditionNodes: 64,
  conditionDepth: 6,
  globs: 64,
  listItems: 256,
  textLength: 256,
  expressions: 8,
  expressionLength: 1024,
  windows: 32,
  labels: 64,
  problems: 50,
} as const

/** A snapshot not confirmed for this long may no longer allow anything: callers deny with `policy_stale`. */
export const staleAfterMs = 60_000
