/** Writers of connections: nodes, edges, where the page stands, and how many rows there are. */

import { type FieldNode, type GraphQLField, type GraphQLObjectType, getNamedType } from 'graphql'
import type { Row } from '../../db/batch.ts'
import { meaningOf } from '../meanings.ts'
import type { ListPlan } from '../plan/types.ts'
import type { Answer } from './answer.ts'
import { type Compiler, ListCompiler, type WriteList } from './compiler.ts'
import { rowsOf } from './found.ts'
import type { Parent } from './levels.ts'
import { aggregatesWriter, countWriter, groupsWriter } from './measures.ts'
import { constant, objectWriter } from './objects.ts'
import { rowWriter } from './rows.ts'
import type { ListSource } from './sources.ts'
import { StepBack } from './step-back.ts'

/** One page of a list: of the root or of one parent. */
interface Page {
  readonly answer: Answer
  readonly link: string | null | undefined
  readonly plan: ListPlan
  /** As they came, which may be one more than the page shows. */
  readonly found: readonly Row[]
  readonly nodes: readonly Row[]
}

type WritePage = (page: Page) => string

export function listWriter(
  compiler: Compiler,
  source: ListSource,
  parent: Parent | null,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WriteList {
  const list = new ListCompiler(compiler, source, parent)
  const type = getNamedType(field.type) as GraphQLObjectType
  const write = objectWriter(
    compiler.selections.under(type, nodes).map(({ key, field: part, nodes: below }) => {
      return [key, part ? partWriter(list, part, below) : constant(type.name)]
    }),
  )
  return (answer, link) => write(pageOf(list, answer, link))
}

function pageOf({ level, source }: ListCompiler, answer: Answer, link: string | null | undefined): Page {
  const plan = answer.plans[source.index]!
  if (!level) return { answer, link, plan, found: [], nodes: [] }
  const rows = answer.found[level.tag]!
  const found = link === undefined ? rows.rows : link === null ? [] : rowsOf(rows, link)
  const kept = found.length > plan.limit ? found.slice(0, plan.limit) : found
  answer.take(kept.length)
  return { answer, link, plan, found, nodes: plan.backward ? kept.toReversed() : kept }
}

function partWriter(
  list: ListCompiler,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WritePage {
  const meaning = meaningOf(field)
  if (meaning?.kind !== 'page') throw new StepBack()
  switch (meaning.part) {
    case 'nodes':
      return nodesWriter(list, field, nodes)
    case 'edges':
      return edgesWriter(list, field, nodes)
    case 'pageInfo':
      return pageInfoWriter(list, field, nodes)
    case 'totalCount': {
      const write = countWriter(list)
      return ({ answer, link }) => write(answer, link)
    }
    case 'aggregates': {
      const write = aggregatesWriter(list, field, nodes)
      return ({ answer, link }) => write(answer, link)
    }
    case 'groups': {
      const write = groupsWriter(list, field, nodes)
      return ({ answer, link }) => write(answer, link)
    }
  }
}

function nodesWriter(
  list: ListCompiler,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WritePage {
  const write = rowWriter(list.compiler, list.rows(), getNamedType(field.type) as GraphQLObjectType, nodes)
  return (page) => listText(page, (row) => write(row, page.answer))
}

/** JSON of a list; checked on the way, because short rows may stand for long ones below them. */
function listText({ nodes, answer }: Page, write: (row: Row) => string): string {
  let text = ''
  for (const row of nodes) {
    text += text === '' ? write(row) : `,${write(row)}`
    answer.check(text)
  }
  return `[${text}]`
}

function edgesWriter(
  list: ListCompiler,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WritePage {
  const type = getNamedType(field.type) as GraphQLObjectType
  const level = list.rows()
  const write = objectWriter<Row, Answer>(
    list.compiler.selections.under(type, nodes).map(({ key, field: part, nodes: below }) => {
      if (!part) return [key, constant(type.name)]
      const meaning = meaningOf(part)
      if (meaning?.kind !== 'edge') throw new StepBack()
      if (meaning.part === 'cursor') return [key, cursorWriter(list)]
      return [key, rowWriter(list.compiler, level, getNamedType(part.type) as GraphQLObjectType, below)]
    }),
  )
  return (page) => listText(page, (row) => write(row, page.answer))
}

function cursorWriter(list: ListCompiler): (row: Row, answer: Answer) => string {
  const level = list.rows()
  level.hasCursors = true
  const { index } = list.source
  return (row, answer) => answer.cursor(level.tag, index, row)
}

function pageInfoWriter(
  list: ListCompiler,
  field: GraphQLField<unknown, unknown>,
  nodes: readonly FieldNode[],
): WritePage {
  const type = getNamedType(field.type) as GraphQLObjectType
  list.rows()
  return objectWriter<Page>(
    list.compiler.selections.under(type, nodes).map(({ key, field: part }) => {
      if (!part) return [key, constant(type.name)]
      const meaning = meaningOf(part)
      if (meaning?.kind !== 'pageInfo') throw new StepBack()
      if (meaning.part === 'hasNextPage' || meaning.part === 'hasPreviousPage') {
        list.rows().peeks = true
        return [key, meaning.part === 'hasNextPage' ? hasNextPage : hasPreviousPage]
      }
      const cursor = cursorWriter(list)
      const at = meaning.part === 'startCursor' ? 0 : -1
      return [
        key,
        ({ nodes: rows, answer }: Page) => {
          const row = rows.at(at)
          return row ? cursor(row, answer) : 'null'
        },
      ]
    }),
  )
}

function hasNextPage({ plan, found }: Page): string {
  return String(plan.backward ? plan.before !== null : found.length > plan.limit)
}

function hasPreviousPage({ plan, found }: Page): string {
  if (plan.backward) return String(found.length > plan.limit)
  // Behind the end of a list only its count tells whether there are rows before.
  if (plan.after === null && plan.offset > 0 && found.length === 0) throw new StepBack()
  return String(plan.after !== null || plan.offset > 0)
}
