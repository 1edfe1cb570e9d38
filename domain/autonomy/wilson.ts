/** The 97.5th percentile of the normal distribution: a two-sided interval of 95 %. */
const z = 1.959964

/**
 * The lower end of the Wilson score interval (Wilson, 1927) of `successes` out of `total`, between 0 and 1: the share
 * that so few trials vouch for. A plain share of 1 out of 1 would promote; this says 0.21. Nothing vouches for nothing: 0.
 */
export function wilsonLowerBound(successes: number, total: number): number {
  if (successes <= 0) return 0 // also by the formula, but for a rest of rounding
  const share = successes / total
  const centre = share + (z * z) / (2 * total)
  const spread = z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total))
  return (centre - spread) / (1 + (z * z) / total)
}
