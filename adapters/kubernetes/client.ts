/** The door of this room for whoever wires processes. */
export { connectCluster, type Connection, type ConnectOptions } from './connection.ts'
export { freezeObjectOn, type FreezeObject } from './freeze-object.ts'
export { clusterExecutor } from './executor.ts'
export { clusterReader } from './reader.ts'
