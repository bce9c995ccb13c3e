/** From the selection of a query to its units: one for each field of Query. Those of mutations are in writes.ts. */

import type { GraphQLObjectType } from 'graphql'
import type { TenantId } from '../../base/ids.ts'
import { lookupKeys } from '../../model/lookups.ts'
import type { Table } from '../../model/types.ts'
import { keyOfLookup } from '../lookups.ts'
import { meaningOf } from '../meanings.ts'
import type { Lists } from '../pages.ts'
import { decodeIdOf } from '../plan/ids.ts'
import { argumentReader, type Variables } from './arguments.ts'
import { Compiler } from './compiler.ts'
import { constant } from './objects.ts'
import { listWriter } from './pages.ts'
import { NodeRows, rowUnit, unitOf } from './row-units.ts'
import type { Selected, Selections } from './selections.ts'
import { StepBack } from './step-back.ts'
import type { Asked, RowKey, Unit } from './unit.ts'

/** A field of the answer: its name as JSON with the colon, and what gives its value. */
export interface RootField {
  readonly key: string
  /** Those that it reads whatever its arguments are. */
  readonly tables: readonly Table[]
  /** @throws  the arguments are refused */
  readonly ask: Ask
}

type Ask = (variables: Variables, tenant: TenantId) => Asked

/** @throws StepBack  a field that is not the tables' own; whatever the arguments of a constant list are refused with */
export function compileQuery(selections: Selections, lists: Lists): RootField[] {
  const type = selections.schema.getQueryType()
  if (!type) throw new StepBack()
  return selections.root(type).map((selected) => {
    const compiler = new Compiler(selections, lists, listWriter)
    const ask = askerOf(selected, type, compiler)
    return { key: selected.key, tables: compiler.levels.map(({ table }) => table), ask }
  })
}

function askerOf({ field, nodes }: Selected, type: GraphQLObjectType, compiler: Compiler): Ask {
  const { selections, lists } = compiler
  if (!field) return plainAsker(unitOf(compiler, constant(type.name)))
  const meaning = meaningOf(field)
  const argumentsOf = argumentReader(field, nodes[0]!)
  switch (meaning?.kind) {
    case 'list': {
      const source = compiler.source(meaning.table, field, nodes[0]!, null)
      return plainAsker(unitOf(compiler, listWriter(compiler, source, null, field, nodes)))
    }
    case 'row': {
      const { table } = meaning
      const unit = rowUnit(compiler, table, [table.primaryKey], nodes)
      return (variables, tenant) =>
        unit.ask(variables, tenant, keyOfId(table, argumentsOf(variables).id as string))
    }
    case 'lookup': {
      const { table } = meaning
      const unit = rowUnit(compiler, table, [table.primaryKey, ...lookupColumns(table)], nodes)
      return (variables, tenant) =>
        unit.ask(variables, tenant, keyOfLookup(table, argumentsOf(variables).by as object))
    }
    case 'node': {
      const rows = new NodeRows(selections, lists, nodes, false)
      return (variables, tenant) => rows.ask([argumentsOf(variables).id as string], variables, tenant)
    }
    case 'nodes': {
      const rows = new NodeRows(selections, lists, nodes, true)
      return (variables, tenant) => rows.ask(argumentsOf(variables).ids as string[], variables, tenant)
    }
    default:
      throw new StepBack()
  }
}

const plainAsker =
  (unit: Unit): Ask =>
  (variables, tenant) =>
    unit.ask(variables, tenant)

function lookupColumns(table: Table): string[][] {
  return lookupKeys(table).map(({ columns }) => columns.map(({ name }) => name))
}

function keyOfId(table: Table, id: string): RowKey {
  const key = decodeIdOf(table, id)
  return table.primaryKey.map((column, i) => ({ column, value: key[i]! }))
}
