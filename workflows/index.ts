/** The Worker's one entry. Everything reachable from here runs in the workflow sandbox. */
export { remediate } from './remediate.ts'
export { settle } from './settle.ts'
