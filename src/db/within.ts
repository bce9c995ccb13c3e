/** A bound for how long an answer is waited for. */

/** Nothing came in time. */
export class Late extends Error {
  override readonly name = 'Late'
}

/**
 * What `promise` gives, or a `Late` after `ms` milliseconds.
 *
 * When this process was held up itself, timers run before the answers are read that have come meanwhile: those are
 * read first, and count as in time.
 */
export function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new Late(`no answer within ${ms} ms`))
    const timer = setTimeout(() => setImmediate(late), ms)
    promise.finally(() => clearTimeout(timer)).then(resolve, reject)
  })
}
