/** What is gathered while a root field is compiled: its levels and the arguments of its lists. */

import type { FieldNode, GraphQLField } from 'graphql'
import type { Table } from '../../model/types.ts'
import type { Lists } from '../pages.ts'
import type { Answer } from './answer.ts'
import type { Level, Parent, RowLevel } from './levels.ts'
import type { Selections } from './selections.ts'
import { type ListSource, listSource } from './sources.ts'

/** @param link  the parent's key; undefined at the root, null for a parent that can have no children */
export type WriteList = (answer: Answer, link?: string | null) => string

type MakeListWriter = (
  compiler: Compiler,
  source: ListSource,
  parent: Parent | null,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
) => WriteList

export class Compiler {
  readonly selections: Selections
  readonly lists: Lists
  /** Handed in, because lists hold rows and rows hold lists. */
  readonly writeList: MakeListWriter
  readonly levels: Level[] = []
  readonly sources: ListSource[] = []
  #memos = 0
  /** Levels of rows without relations below them, which several parents share. */
  readonly #shared = new Map<string, RowLevel>()

  constructor(selections: Selections, lists: Lists, writeList: MakeListWriter) {
    this.selections = selections
    this.lists = lists
    this.writeList = writeList
  }

  source(table: Table, field: GraphQLField<unknown, unknown>, node: FieldNode, by: readonly string[] | null) {
    const source = listSource(this.lists, this.sources.length, table, field, node, by)
    this.sources.push(source)
    return source
  }

  /** A number for a writer whose texts an answer may keep. */
  addMemo(): number {
    return this.#memos++
  }

  add<L extends Level>(level: Omit<L, 'tag' | 'links' | 'cells' | 'more'>): L {
    const tag = this.levels.length
    const made = { ...level, tag, links: [], cells: [], more: 0 } as unknown as L
    this.levels.push(made)
    return made
  }

  /** The level of rows that a field at the top asks for by their keys, or writes. */
  rowLevel(table: Table, isNumbered = false): RowLevel {
    return this.add<RowLevel>({
      kind: 'row',
      table,
      by: [],
      parents: [],
      source: null,
      columns: [],
      isNumbered,
      hasCursors: false,
    })
  }

  /** The level of rows that others refer to; a shared one gets one more parent. */
  referred(target: Table, by: readonly string[], parent: RowLevel, own: readonly string[], isLeaf: boolean) {
    const name = `${target.id}\0${by.join('\0')}`
    const known = isLeaf ? this.#shared.get(name) : undefined
    if (known) {
      known.parents.push({ level: parent, own })
      return known
    }
    const parents = [{ level: parent, own }]
    const level = this.add<RowLevel>({
      kind: 'one',
      table: target,
      by,
      parents,
      source: null,
      columns: [],
      hasCursors: false,
    })
    if (isLeaf) this.#shared.set(name, level)
    return level
  }

  /** In the order of the statement: what is shared stands behind all its parents. */
  ordered(): Level[] {
    const shared = new Set<Level>(this.#shared.values())
    return [...this.levels.filter((level) => !shared.has(level)), ...shared]
  }
}

/** A list while it is compiled: its rows are read only where something of them is selected. */
export class ListCompiler {
  readonly compiler: Compiler
  readonly source: ListSource
  readonly parents: Parent[]
  readonly by: readonly string[]
  level: RowLevel | undefined

  constructor(compiler: Compiler, source: ListSource, parent: Parent | null) {
    this.compiler = compiler
    this.source = source
    this.parents = parent ? [parent] : []
    this.by = source.by ?? []
  }

  rows(): RowLevel {
    const { source, parents, by } = this
    this.level ??= this.compiler.add<RowLevel>({
      kind: 'list',
      table: source.table,
      by,
      parents,
      source,
      columns: [],
      hasCursors: false,
    })
    return this.level
  }
}
