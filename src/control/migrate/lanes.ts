/** Doing many things, some at once. */

/** Do `work` for each item, `limit` at once; results in the order of the items. The first failure ends it. */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const at = next++
      results[at] = await work(items[at]!)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  return results
}

export interface Limits<T> {
  /** Items at once. */
  readonly total: number
  /** Items of one group at once. */
  readonly perGroup: number
  readonly groupOf: (item: T) => string
}

/**
 * Do `work` for each item, at most so many at once over all and in each group, in the order of the items as far as
 * that leaves nobody idle. `work` says whether to go on; what has begun is finished in any case.
 *
 * @returns the items that were not begun
 */
export async function inLanes<T>(
  items: readonly T[],
  { total, perGroup, groupOf }: Limits<T>,
  work: (item: T) => Promise<boolean>,
): Promise<T[]> {
  const waiting = [...items]
  const busy = new Map<string, number>()
  const running = new Set<Promise<void>>()
  let goesOn = true
  const begin = (item: T): void => {
    const group = groupOf(item)
    busy.set(group, (busy.get(group) ?? 0) + 1)
    const run = work(item).then((more) => {
      goesOn &&= more
      busy.set(group, busy.get(group)! - 1)
      running.delete(run)
    })
    running.add(run)
  }
  const nextOne = (): number => waiting.findIndex((item) => (busy.get(groupOf(item)) ?? 0) < perGroup)
  while (running.size > 0 || (goesOn && waiting.length > 0)) {
    for (let at = nextOne(); goesOn && at >= 0 && running.size < total; at = nextOne())
      begin(waiting.splice(at, 1)[0]!)
    if (running.size > 0) await Promise.race(running)
  }
  return waiting
}
