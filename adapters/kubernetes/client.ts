/** The door of this room for whoever wires processes. */
export { connectCluster, type Connection, type ConnectOptions } from './connection.ts'
export { clusterExecutor } from './executor.ts'
export { clusterReader } from './reader.ts'
