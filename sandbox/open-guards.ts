/**
 * Guards that look back over minutes and hours, opened for runs that crowd a day into a minute: workloads are rolled
 * out just before, fail together on purpose, and are acted on again and again.
 */
export const openGuards = {
  AEGIS_DISRUPTION_WORKLOAD_PERCENT: '100',
  AEGIS_DISRUPTION_NAMESPACE_PERCENT: '100',
  AEGIS_DISRUPTION_WINDOW_MS: '1',
  AEGIS_MAJORITY_STOP_PERCENT: '0',
  AEGIS_FLAP: '100000/1s',
  AEGIS_BREAKER: '100000/1s,100%/10',
  AEGIS_AFTER_ROLLOUT_MS: '0',
  AEGIS_AFTER_ACTION_MS: '0',
  AEGIS_POLICY_TRIAL_MS: '0',
}
