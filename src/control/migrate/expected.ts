/**
 * Which structure a target should have: that which most targets with the same files had right after their migration. A
 * tie goes to the first in the order of shards, whose shared schemas come first.
 */

import type { Target } from '../../directory/targets.ts'

export interface Expected {
  readonly structure: string
  /** Targets that had it, of all with the same files. */
  readonly votes: number
  readonly of: number
}

/** A tenant's own schema stands in the place of the first served one alone: with others beside it, it is of another kind. */
export function expectedStructures(
  targets: readonly Target[],
  schemas: readonly string[],
): (target: Pick<Target, 'isolation' | 'applied'>) => Expected | undefined {
  const kindOf = ({ isolation, applied }: Pick<Target, 'isolation' | 'applied'>): string =>
    `${isolation === 'schema' && schemas.length > 1 ? 'first' : 'all'} ${applied}`
  const groups = Map.groupBy(
    targets.filter(({ structure, applied }) => structure !== null && applied !== ''),
    kindOf,
  )
  const found = new Map([...groups].map(([kind, group]) => [kind, majorityOf(group)]))
  return (target) => found.get(kindOf(target))
}

function majorityOf(group: readonly Target[]): Expected {
  const votes = Map.groupBy(group, ({ structure }) => structure!)
  const [first] = [...votes].toSorted(([, a], [, b]) => b.length - a.length)
  return { structure: first![0], votes: first![1].length, of: group.length }
}
