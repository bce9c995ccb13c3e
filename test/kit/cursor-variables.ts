/** Cursors of an answer as variables for the same document: its lists, continued. */

import { Kind, parse, type SelectionSetNode } from 'graphql'
import type { Data } from './api.ts'
import type { Random } from './random.ts'

/** Sets of variables that continue lists of an answer; none where it gave no cursor that has a place. */
export function cursorsFor(query: string, data: Data, random: Random): Record<string, string>[] {
  if (!data || !/(after|before): \$/.test(query)) return []
  const found = new Map<string, string[]>()
  collectCursors(data, '', found)
  const known = cursorVariables(query).flatMap(({ path, name }) => {
    const cursors = found.get(path)
    return cursors ? [{ name, cursors }] : []
  })
  if (known.length === 0) return []
  const draw = () => {
    const some = known.filter(() => random.chance(0.6))
    const chosen = some.length > 0 ? some : known
    return Object.fromEntries(chosen.map(({ name, cursors }) => [name, pickCursor(cursors, random)]))
  }
  return [draw(), draw(), draw()]
}

/** One of the cursors, and each way in which some of their values are null as often as another. */
function pickCursor(cursors: readonly string[], random: Random): string {
  const nulls = (cursor: string) =>
    String((JSON.parse(decoded(cursor)) as unknown[]).map((value) => value === null))
  return random.pick(random.pick([...Map.groupBy(cursors, nulls).values()]))
}

const decoded = (cursor: string): string => Buffer.from(cursor, 'base64url').toString()

interface CursorVariable {
  /** Response names of the connection and of what is above it. */
  readonly path: string
  readonly name: string
}

function cursorVariables(query: string): CursorVariable[] {
  const { definitions } = parse(query, { noLocation: true })
  const fragments = new Map<string, SelectionSetNode>()
  for (const node of definitions)
    if (node.kind === Kind.FRAGMENT_DEFINITION) fragments.set(node.name.value, node.selectionSet)
  const walk = ({ selections }: SelectionSetNode, above: string): CursorVariable[] =>
    selections.flatMap((node) => {
      if (node.kind === Kind.FRAGMENT_SPREAD) return walk(fragments.get(node.name.value)!, above)
      if (node.kind === Kind.INLINE_FRAGMENT) return walk(node.selectionSet, above)
      const path = `${above}/${(node.alias ?? node.name).value}`
      const own = (node.arguments ?? []).flatMap(({ name, value }) => {
        const isCursor = name.value === 'after' || name.value === 'before'
        return isCursor && value.kind === Kind.VARIABLE ? [{ path, name: value.name.value }] : []
      })
      return node.selectionSet ? [...own, ...walk(node.selectionSet, path)] : own
    })
  return definitions.flatMap((node) =>
    node.kind === Kind.OPERATION_DEFINITION ? walk(node.selectionSet, '') : [],
  )
}

/** Cursors of an answer by the path of their connection: above `pageInfo { endCursor }` and `edges { cursor }`. */
function collectCursors(value: Data, path: string, found: Map<string, string[]>): void {
  if (Array.isArray(value)) for (const item of value) collectCursors(item, path, found)
  else if (typeof value === 'string') {
    const [, connection] = /^(.*)\/[^/]+\/[^/]+$/.exec(path) ?? []
    if (connection && isCursor(value)) found.set(connection, [...(found.get(connection) ?? []), value])
  } else if (value !== null && typeof value === 'object') {
    for (const [name, item] of Object.entries(value)) collectCursors(item, `${path}/${name}`, found)
  }
}

// An opaque list whose first item is a mark of twelve characters; aliases hide the names of fields.
function isCursor(value: string): boolean {
  return /^\["[\w-]{12}"/.test(decoded(value))
}
