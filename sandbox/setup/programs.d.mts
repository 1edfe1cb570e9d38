export declare const checkout: string
export declare const versions: Record<'temporal' | 'kubernetes' | 'etcd' | 'kwok' | 'postgres', string>
export declare const cache: string
export declare function isTraversable(path: string): boolean
export declare function missingPrograms(): string[]
export declare function programs(): {
  temporal: string
  /** The folder that holds `bin`, `lib` and `share`. */
  postgres: string
  etcd: string
  kubeApiserver: string
  kubeControllerManager: string
  kubeScheduler: string
  kwok: string
  kwokctl: string
}
