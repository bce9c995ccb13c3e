/**
 * Variables that are nearly those of the last time: one flag, direction, operator or item of them is another, and now
 * and then a value is of another kind. What is remembered for a document must not hang on less than what its
 * statement hangs on.
 */

import type { Random } from './random.ts'

/** `variables` with one change, of a kind that leaves most of them what the document allows. */
export function varied(variables: object, random: Random): Record<string, unknown> {
  const places = [...placesIn(variables)]
  if (places.length === 0) return { ...variables }
  // As they travel; a number that JavaScript cannot hold is an object that cannot be cloned.
  const copy = JSON.parse(JSON.stringify(variables)) as Record<string, unknown>
  const { path, changes } = random.pick(places)
  const { parent, key } = parentOf(copy, path)
  if (random.chance(SPOILED)) set(parent, key, random.pick(ODD))
  else random.pick(changes)(parent, key)
  return copy
}

/** Chance that a value becomes one that is hardly ever allowed: which, both lanes have to agree on. */
const SPOILED = 0.08
const ODD = [
  null,
  0,
  -0,
  1,
  1.5,
  1e20,
  -1,
  '',
  '1',
  ' 1',
  'true',
  'ASC',
  true,
  [],
  [null],
  [[1]],
  {},
  { eq: 1 },
  { '': 1 },
]

type Holder = Record<string, unknown>
type Change = (parent: Holder, key: string) => void

interface Place {
  readonly path: readonly string[]
  readonly changes: readonly Change[]
}

function* placesIn(value: unknown, path: readonly string[] = []): Generator<Place> {
  const changes = path.length > 0 ? changesOf(value, path.at(-1) ?? '') : []
  if (changes.length > 0) yield { path, changes }
  if (typeof value !== 'object' || value === null) return
  for (const [key, item] of Object.entries(value)) yield* placesIn(item, [...path, key])
}

const DIRECTIONS = ['ASC', 'DESC', 'ASC_NULLS_FIRST', 'ASC_NULLS_LAST', 'DESC_NULLS_FIRST', 'DESC_NULLS_LAST']
/** Operators that take the same values. */
const ALIKE = [
  ['eq', 'neq', 'gt', 'gte', 'lt', 'lte'],
  ['in', 'notIn'],
  ['like', 'ilike', 'startsWith', 'endsWith', 'contains'],
  ['and', 'or'],
  ['some', 'every', 'none'],
  ['min', 'max'],
  ['sum', 'avg'],
]

function changesOf(value: unknown, key: string): Change[] {
  const changes: Change[] = []
  const to = (next: unknown): void => void changes.push((parent, name) => set(parent, name, next))
  if (typeof value === 'boolean') to(!value)
  if (typeof value === 'number') to(value === 1 ? 2 : 1)
  if (typeof value === 'string' && DIRECTIONS.includes(value)) {
    for (const other of DIRECTIONS) if (other !== value) to(other)
  }
  if (Array.isArray(value)) {
    if (value.length > 1) to(value.toReversed())
    if (value.length > 1) to(value.slice(1))
    // GraphQL takes an item for a list of one.
    if (value.length > 0) to(value[0])
  }
  for (const other of ALIKE.find((names) => names.includes(key)) ?? []) {
    if (other !== key) changes.push((parent, name) => rename(parent, name, other))
  }
  return changes
}

function set(parent: Holder, key: string, value: unknown): void {
  parent[key] = value
}

function rename(parent: Holder, key: string, other: string): void {
  const value = parent[key]
  delete parent[key]
  parent[other] = value
}

function parentOf(root: Holder, path: readonly string[]): { parent: Holder; key: string } {
  const parent = path.slice(0, -1).reduce((found, step) => found[step] as Holder, root)
  return { parent, key: path.at(-1) ?? '' }
}
