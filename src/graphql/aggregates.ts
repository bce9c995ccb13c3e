/**
 * `aggregates` and `groups`: the fields of a connection that measure its whole list, whatever page of it is
 * shown. All measures selected under one of them are one statement, for all parents where the list has parents.
 */

import type { Table } from '../model/types.ts'
import { type GroupArguments, groupsOf, orderedMeasures } from './aggregates/arguments.ts'
import { type GroupInputs, groupInputs, groupParts } from './aggregates/inputs.ts'
import { type AggregateTypes, aggregateTypes, type Measured } from './aggregates/outputs.ts'
import { aggregatePlan } from './aggregates/plans.ts'
import { selectedMeasures } from './aggregates/selection.ts'
import type { SchemaTypes } from './builder.ts'
import { means } from './meanings.ts'
import type { Page } from './pages.ts'
import type { SchemaParts } from './types.ts'

type Fields = PothosSchemaTypes.ObjectFieldBuilder<PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>, Page>

/** Give each connection its aggregates, with their types. */
export function addAggregates(parts: SchemaParts): void {
  const partOf = groupParts(parts.builder)
  for (const table of parts.model.tables) {
    const types = aggregateTypes(parts, table)
    const inputs = groupInputs(parts, table, partOf)
    parts.builder.objectFields(parts.types(table).connection, (t) => ({
      aggregates: aggregatesField(t, table, types),
      ...(types.group && inputs ? { groups: groupsField(t, parts, table, types.group, inputs) } : {}),
    }))
  }
}

function aggregatesField(t: Fields, table: Table, { aggregates }: AggregateTypes) {
  return t.field({
    type: aggregates,
    nullable: false,
    ...means({ kind: 'page', part: 'aggregates' }),
    description: 'Measures of the whole list, over all pages.',
    resolve: async (page, _args, _context, info): Promise<Measured> => {
      const plan = aggregatePlan(page.plan, info.fieldNodes, () => ({
        measures: selectedMeasures(table, info),
        groups: null,
      }))
      const [row = []] = plan.measures.length > 0 ? await page.measure(plan) : []
      return { plan, row }
    },
  })
}

function groupsField(
  t: Fields,
  parts: SchemaParts,
  table: Table,
  group: NonNullable<AggregateTypes['group']>,
  { by, having, orderBy }: GroupInputs,
) {
  return t.field({
    type: [group],
    nullable: { list: false, items: false },
    ...means({ kind: 'page', part: 'groups' }),
    description: 'The whole list in groups of equal keys, ordered by their keys unless told otherwise.',
    args: {
      by: t.arg({ type: [by], required: { list: true, items: true } }),
      having: t.arg({ type: having }),
      orderBy: t.arg({ type: [orderBy], required: { list: false, items: true } }),
      first: t.arg.int({ description: 'Groups wanted.' }),
      offset: t.arg.int({ description: 'Groups to pass over.' }),
      timeZone: t.arg.string({
        description: 'Where days begin, for columns with a time zone: "Europe/Berlin"; default "UTC".',
      }),
    },
    resolve: async (page, args, { scope }, info): Promise<Measured[]> => {
      const plan = aggregatePlan(page.plan, info.fieldNodes, () => {
        const groups = groupsOf(table, args as GroupArguments, parts.sizes())
        return { measures: selectedMeasures(table, info, orderedMeasures(groups)), groups }
      })
      const rows = await page.measure(plan)
      scope.take(rows.length, parts.sizes().rows)
      return rows.map((row) => ({ plan, row }))
    },
  })
}
