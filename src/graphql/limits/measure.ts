/**
 * How big a selection is, fragments followed: the arithmetic under the limits of a document.
 *
 * Each fragment is measured once, in terms of itself, and merged wherever it is spread; a hundred
 * fragments that each spread the one before twice stand for 2^100 fields and take a hundred steps.
 */

import { type FieldNode, type FragmentDefinitionNode, Kind, type SelectionSetNode } from 'graphql'
import { fail } from '../../base/errors.ts'

export interface Measure {
  /** Levels of fields, those under `__schema` and `__type` left out. */
  readonly depth: number
  /** Levels of fields from `__schema` or `__type` down. */
  readonly introspectionDepth: number
  /** Levels of selection sets and spreads, whether or not they add a level of fields. */
  readonly nesting: number
  readonly fields: number
  readonly aliases: number
  readonly directives: number
  /** Most directives at one place. */
  readonly stacked: number
  /** Fields at the top of this selection. */
  readonly siblings: number
  /** Most fields at the top of this selection that share a response name. */
  readonly repeats: number
  /** Response name → how often it is at the top of this selection. */
  readonly names: ReadonlyMap<string, number>
}

export interface Walk {
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
  /** Fragments that have been measured; shared by all walks over one document. */
  readonly measures: Map<string, Measure>
  /** Called with each measure while it grows, so that a walk ends at the first bound it passes. */
  readonly check: (measure: Measure) => void
  /** Fragments that are being measured now, outermost first. */
  readonly open?: readonly string[]
  /** Selections around this one. */
  readonly level?: number
}

type Growing = { -readonly [K in keyof Measure]: Measure[K] } & { names: Map<string, number> }

/**
 * Measure a selection.
 *
 * @throws GRAPHQL_VALIDATION_FAILED  a fragment that spreads itself
 */
export function measureSelections({ selections }: SelectionSetNode, outer: Walk): Measure {
  const total = empty()
  const walk = { ...outer, level: (outer.level ?? 0) + 1 }
  // On the way down too: a long chain of fragments must not fill the call stack before it is measured.
  walk.check({ ...total, nesting: walk.level })
  const spreads = new Map<string, number>()
  for (const selection of selections) {
    addDirectives(total, selection)
    if (selection.kind === Kind.FIELD) addField(total, selection, walk)
    else if (selection.kind === Kind.INLINE_FRAGMENT)
      merge(total, measureSelections(selection.selectionSet, walk), 1)
    else spreads.set(selection.name.value, (spreads.get(selection.name.value) ?? 0) + 1)
    walk.check(total)
  }
  // `...A ...A ...A` merges once, times three.
  for (const [name, times] of spreads) {
    merge(total, measureFragment(name, walk), times)
    walk.check(total)
  }
  return total
}

function measureFragment(name: string, walk: Walk): Measure {
  const { fragments, measures, open = [] } = walk
  const known = measures.get(name)
  if (known) return known
  if (open.includes(name)) refuseCircle(name, open)
  const fragment = fragments.get(name)
  if (!fragment) return empty() // Validation says which fragment is missing.
  const measure = measureSelections(fragment.selectionSet, { ...walk, open: [...open, name] })
  measures.set(name, measure)
  return measure
}

function refuseCircle(name: string, open: readonly string[]): never {
  const [, ...via] = open.slice(open.indexOf(name))
  const way = via.length > 0 ? ` by way of ${via.slice(0, 5).join(', ')}` : ''
  return fail('GRAPHQL_VALIDATION_FAILED', `The fragment "${name}" spreads itself${way}.`, { fragment: name })
}

const empty = (): Growing => ({
  depth: 0,
  introspectionDepth: 0,
  nesting: 1,
  fields: 0,
  aliases: 0,
  directives: 0,
  stacked: 0,
  siblings: 0,
  repeats: 0,
  names: new Map(),
})

/** Count the directives that stand at `node` itself. */
function addDirectives(total: Growing, { directives = [] }: { directives?: readonly unknown[] }): void {
  total.directives += directives.length
  total.stacked = Math.max(total.stacked, directives.length)
}

function addField(total: Growing, field: FieldNode, walk: Walk): void {
  const below = field.selectionSet ? measureSelections(field.selectionSet, walk) : empty()
  total.fields += 1 + below.fields
  total.aliases += (field.alias ? 1 : 0) + below.aliases
  total.directives += below.directives
  total.stacked = Math.max(total.stacked, below.stacked)
  total.nesting = Math.max(total.nesting, 1 + below.nesting)
  total.siblings += 1
  addName(total, (field.alias ?? field.name).value, 1)
  const isIntrospection = field.name.value === '__schema' || field.name.value === '__type'
  const depth = 1 + below.depth
  if (isIntrospection) {
    total.introspectionDepth = Math.max(total.introspectionDepth, depth, 1 + below.introspectionDepth)
  } else {
    total.depth = Math.max(total.depth, depth)
    total.introspectionDepth = Math.max(total.introspectionDepth, below.introspectionDepth)
  }
}

function merge(total: Growing, part: Measure, times: number): void {
  total.depth = Math.max(total.depth, part.depth)
  total.introspectionDepth = Math.max(total.introspectionDepth, part.introspectionDepth)
  total.nesting = Math.max(total.nesting, 1 + part.nesting)
  total.fields += times * part.fields
  total.aliases += times * part.aliases
  total.directives += times * part.directives
  total.stacked = Math.max(total.stacked, part.stacked)
  total.siblings += times * part.siblings
  for (const [name, count] of part.names) addName(total, name, times * count)
}

function addName(total: Growing, name: string, count: number): void {
  const sum = (total.names.get(name) ?? 0) + count
  total.names.set(name, sum)
  total.repeats = Math.max(total.repeats, sum)
}
