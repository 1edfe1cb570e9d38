/** What the emergency door costs: each use of it is looked at by another person. */

export const reviewVerdicts = ['justified', 'unjustified'] as const
export type ReviewVerdict = (typeof reviewVerdicts)[number]

/** One person's uses that nobody has reviewed. */
export type Unreviewed = { count: number; /** Null: there are none. */ oldestMs: number | null }

const mostUnreviewed = 3
/** A review is due within this time. */
export const reviewWithinMs = 24 * 3_600_000

/** Whether the door stays shut for somebody until others have looked at what they did. */
export const isReviewDue = ({ count, oldestMs }: Unreviewed): boolean => count >= mostUnreviewed || (oldestMs !== null && oldestMs > reviewWithinMs)
