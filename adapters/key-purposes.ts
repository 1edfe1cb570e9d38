import { publicKeysIn, readKeyFile } from './signing.ts'

/**
 * Refuses a key that serves two purposes, however its files are named: what signs logins must not be able to sign
 * policies. Files of public keys by the variable that names them.
 */
export function refuseSharedKeys(files: Readonly<Record<string, string>>): void {
  const owners = new Map<string, string>()
  for (const [variable, path] of Object.entries(files)) {
    for (const keyId of publicKeysIn(readKeyFile(path, variable)).keys()) {
      const other = owners.get(keyId)
      if (other !== undefined) throw new Error(`${variable} and ${other} both hold the key \`${keyId}\`: make a key for each purpose`)
      owners.set(keyId, variable)
    }
  }
}
