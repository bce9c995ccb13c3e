/** Mutations of several rows, which `atMost` keeps from being more than were meant. */

import { fail } from '../../base/errors.ts'
import { capitalized } from '../../model/names.ts'
import type { Table } from '../../model/types.ts'
import { conditionOf } from '../filters/plans.ts'
import type { SchemaParts } from '../types.ts'
import { outdated } from '../values/types.ts'
import type { Fields } from './fields.ts'
import type { MutationParts } from './parts.ts'
import { answered, type ChangesRef, changesResult } from './results.ts'
import { requirePatch } from './single.ts'
import type { Choice } from './types.ts'

export function addCreateMany(
  { parts, writer, inputs }: MutationParts,
  table: Table,
  changes: ChangesRef,
): void {
  const name = bulkName('create', table)
  parts.builder.mutationField(name, (t) =>
    t.field({
      type: changesResult(parts, `${capitalized(name)}Result`, changes),
      description: `Create ${table.manyField}: all of them, or none.`,
      ...outdated(table),
      args: { input: t.arg({ type: [inputs.create(table)], required: true }) },
      resolve: (_root, { input }, context, info) =>
        answered(context.scope, info, async () => ({
          rows: await writer.create(table, input as readonly Fields[], context),
        })),
    }),
  )
}

export function addUpdateMany(
  { parts, writer, inputs }: MutationParts,
  table: Table,
  changes: ChangesRef,
): void {
  const name = bulkName('update', table)
  parts.builder.mutationField(name, (t) =>
    t.field({
      type: changesResult(parts, `${capitalized(name)}Result`, changes),
      description: `Change the given columns of all ${table.manyField} that match; none when they are more than "atMost".`,
      ...outdated(table),
      args: {
        ...choiceArguments(t, parts, table),
        patch: t.arg({ type: inputs.patch(table), required: true }),
      },
      resolve: (_root, { patch, ...choice }, context, info) =>
        answered(context.scope, info, async () => {
          const fields = requirePatch(patch as Fields)
          return { rows: await writer.updateWhere(table, choiceOf(parts, table, choice), fields, context) }
        }),
    }),
  )
}

export function addDeleteMany({ parts, writer }: MutationParts, table: Table, changes: ChangesRef): void {
  const name = bulkName('delete', table)
  parts.builder.mutationField(name, (t) =>
    t.field({
      type: changesResult(parts, `${capitalized(name)}Result`, changes),
      description: `Delete all ${table.manyField} that match and return them as they were; none when they are more than "atMost".`,
      ...outdated(table),
      args: choiceArguments(t, parts, table),
      resolve: (_root, choice, context, info) =>
        answered(context.scope, info, async () => ({
          rows: await writer.removeWhere(table, choiceOf(parts, table, choice), context),
        })),
    }),
  )
}

/** 'createTickets'. */
export function bulkName(verb: 'create' | 'update' | 'delete', { manyField }: Table): string {
  return verb + capitalized(manyField)
}

type MutationFields = Parameters<Parameters<SchemaParts['builder']['mutationField']>[1]>[0]

function choiceArguments(t: MutationFields, { filters }: SchemaParts, table: Table) {
  return {
    filter: t.arg({
      type: filters.filterType(table),
      required: true,
      description: 'Which rows; {} is all of them.',
    }),
    atMost: t.arg.int({
      required: true,
      defaultValue: 1,
      description: 'How many rows may match; when there are more, nothing is changed.',
    }),
  }
}

interface ChoiceArguments {
  readonly filter?: unknown
  readonly atMost: number
}

/** @throws BAD_USER_INPUT  `atMost` is no number of rows that an operation may write */
function choiceOf(parts: SchemaParts, table: Table, { filter, atMost }: ChoiceArguments): Choice {
  const { rows } = parts.sizes()
  if (atMost < 0 || atMost > rows) {
    fail('BAD_USER_INPUT', `"atMost" wants a number from 0 to ${rows}; ${atMost} came.`)
  }
  return { where: conditionOf(parts.tables, table, filter as object), atMost }
}
