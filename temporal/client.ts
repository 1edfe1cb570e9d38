import { Client, Connection } from '@temporalio/client'
import { loadClientConnectConfig } from '@temporalio/envconfig'

export type TemporalSettings = { address?: string | undefined }

/**
 * Connects with the SDK's environment configuration (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS,
 * API key, `TEMPORAL_PROFILE`). Lazy: a server that is down is found out by the first call.
 */
export function lazyClient(settings: TemporalSettings = {}): Client {
  const { connectionOptions, namespace } = connectSettings(settings)
  return new Client({ connection: Connection.lazy(connectionOptions), ...(namespace === undefined ? {} : { namespace }) })
}

export function connectSettings({ address }: TemporalSettings) {
  const { connectionOptions, namespace } = loadClientConnectConfig()
  return { connectionOptions: { ...connectionOptions, ...(address === undefined ? {} : { address }) }, namespace }
}
