/**
 * Bytes that files of releases on their way will still take, for each disk: two
 * releases that fit one by one need not fit together, and blobs that come meanwhile
 * must leave the place that the files were promised.
 *
 * @module channels/disk-claims
 */

/** What one release was promised. */
export interface DiskClaim {
  /** So much of it is on the disk now, and no promise any more. */
  written(bytes: number): void
  /** The rest is not needed. Idempotent. */
  release(): void
}

export class DiskClaims {
  readonly #byDevice = new Map<number, number>()

  /** Bytes promised and not written yet. @param device - `dev` of `stat`. */
  bytesOn(device: number): number {
    return this.#byDevice.get(device) ?? 0
  }

  /** Promise bytes. Whoever does so has looked at the free space since the last promise was made. */
  claim(device: number, bytes: number): DiskClaim {
    let left = bytes
    this.#add(device, bytes)
    const give = (count: number): void => {
      const given = Math.min(left, count)
      left -= given
      this.#add(device, -given)
    }
    return { written: give, release: () => give(left) }
  }

  #add(device: number, bytes: number): void {
    this.#byDevice.set(device, this.bytesOn(device) + bytes)
  }
}
