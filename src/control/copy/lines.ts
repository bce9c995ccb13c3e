/**
 * Rows on their way, as COPY's text: a line each, tabs between the columns, and no line break or tab within a value,
 * because Postgres writes those as "\n" and "\t".
 *
 * Whose rows they are is not in the lines: the tenant column is left out when they are read and put in front of each
 * line when they are written. A file, whoever has had it in hands, cannot say that a row is another tenant's.
 */

import { createHash, type Hash } from 'node:crypto'
import { Transform, type TransformCallback } from 'node:stream'
import type { TenantId } from '../../base/ids.ts'

const NEW_LINE = 0x0a

/** What has passed. */
export interface Passed {
  readonly rows: number
  readonly bytes: number
  /** SHA-256 of the bytes, in hexadecimal. */
  readonly sha256: string
}

/** Counts and hashes what passes, and leaves it as it is. @param told  called with the rows of each piece */
export class Meter extends Transform {
  readonly #told: (rows: number) => void
  readonly #hash: Hash = createHash('sha256')
  #rows = 0
  #bytes = 0

  constructor(told: (rows: number) => void = () => {}) {
    super()
    this.#told = told
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let rows = 0
    for (let at = chunk.indexOf(NEW_LINE); at >= 0; at = chunk.indexOf(NEW_LINE, at + 1)) rows++
    this.#hash.update(chunk)
    this.#rows += rows
    this.#bytes += chunk.length
    this.#told(rows)
    done(null, chunk)
  }

  /** Once, at the end. */
  passed(): Passed {
    return { rows: this.#rows, bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }
}

/** Puts a tenant in front of each line. @param alone  lines have nothing else in them */
export class TenantColumn extends Transform {
  readonly #front: Buffer
  #atStart = true

  // An id has none of the characters that COPY escapes (base/ids.ts).
  constructor(tenant: TenantId, alone: boolean) {
    super()
    this.#front = Buffer.from(alone ? tenant : `${tenant}\t`)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const parts: Buffer[] = []
    let from = 0
    while (from < chunk.length) {
      if (this.#atStart) parts.push(this.#front)
      const end = chunk.indexOf(NEW_LINE, from)
      this.#atStart = end >= 0
      const next = this.#atStart ? end + 1 : chunk.length
      parts.push(chunk.subarray(from, next))
      from = next
    }
    done(null, Buffer.concat(parts))
  }
}
