/** Paths and blob ids of what Git has staged, from the bytes of its index (gitformat-index, versions 2 to 4). */
export function stagedBlobs(index: Buffer, idBytes: 20 | 32): Map<string, string> | null {
  if (index.length < 12 || index.toString('latin1', 0, 4) !== 'DIRC') return null
  const version = index.readUInt32BE(4)
  if (version < 2 || version > 4) return null
  const blobs = new Map<string, string>()
  let [at, path] = [12, '']
  for (let left = index.readUInt32BE(8); left > 0; left--) {
    const idAt = at + 40
    const flagsAt = idAt + idBytes
    if (flagsAt + 2 > index.length) return null
    const extended = version > 2 && (index.readUInt16BE(flagsAt) & 0x4000) !== 0
    const nameAt = flagsAt + (extended ? 4 : 2)
    const dropped = version === 4 ? varint(index, nameAt) : { value: path.length, next: nameAt }
    const end = index.indexOf(0, dropped.next)
    if (end === -1) return null
    path = path.slice(0, path.length - dropped.value) + index.toString('latin1', dropped.next, end)
    blobs.set(Buffer.from(path, 'latin1').toString(), index.toString('hex', idAt, flagsAt))
    // Older versions fill an entry up to eight bytes, with at least one NUL.
    at = version === 4 ? end + 1 : at + ((end - at + 8) & ~7)
  }
  return blobs
}

/** As in pack files: seven bits a byte, the highest first, each further byte counting from one more. */
function varint(bytes: Buffer, from: number): { value: number; next: number } {
  let next = from
  let byte = bytes[next++] ?? 0
  let value = byte & 0x7f
  while (byte & 0x80 && next < from + 5) {
    byte = bytes[next++] ?? 0
    value = ((value + 1) << 7) | (byte & 0x7f)
  }
  return { value, next }
}
