/**
 * Which measures an operation asks for under a field of aggregates: only they are computed.
 *
 * Fragments are followed, aliases seen through, and what @skip and @include leave out is left out, as the
 * executor will do it afterwards; a measure that it asks for and that is not here would be missing.
 */

import { type FieldNode, type GraphQLResolveInfo, Kind, type SelectionNode } from 'graphql'
import { fail } from '../../base/errors.ts'
import type { Table } from '../../model/types.ts'
import { Conditions } from '../permissions/touched-fields.ts'
import { isMeasure, MEASURE_KINDS, type Measure } from '../plan/aggregate-types.ts'

/** Measures in one statement: each may sort all rows of the list. */
const MEASURES_MAX = 100

export type SelectionInfo = Pick<
  GraphQLResolveInfo,
  'fieldNodes' | 'fragments' | 'operation' | 'variableValues'
>

/**
 * The distinct measures selected under the fields of `info`, in the order of the document.
 *
 * @param more  measures wanted besides: those that the groups are ordered by
 * @throws QUERY_TOO_COMPLEX  they are too many
 */
export function selectedMeasures(
  table: Table,
  info: SelectionInfo,
  more: readonly Measure[] = [],
): Measure[] {
  const walk: Walk = {
    fragments: info.fragments,
    conditions: new Conditions(info.operation, info.variableValues),
  }
  const selected = fieldsUnder(info.fieldNodes, walk).flatMap((node) => measuresOf(table, node, walk))
  const measures: Measure[] = []
  for (const measure of [...selected, ...more]) {
    if (!measures.some((known) => isMeasure(known, measure))) measures.push(measure)
    if (measures.length > MEASURES_MAX) {
      const sentence = `More than ${MEASURES_MAX} aggregates of one list were asked for; ask for them in several operations.`
      fail('QUERY_TOO_COMPLEX', sentence, { limit: 'aggregates', allowed: MEASURES_MAX })
    }
  }
  return measures
}

interface Walk {
  readonly fragments: GraphQLResolveInfo['fragments']
  readonly conditions: Conditions
}

function measuresOf(table: Table, node: FieldNode, walk: Walk): Measure[] {
  const kind = MEASURE_KINDS.find((name) => name === node.name.value)
  if (!kind) return [] // `key`, __typename, and what an extension has added
  if (kind === 'count') return [{ kind, column: null }]
  return fieldsUnder([node], walk).flatMap(({ name }) => {
    const column = table.columns.find(({ field }) => field === name.value)
    return column ? [{ kind, column: column.name }] : []
  })
}

/** The fields selected by `nodes`, fragments written out, each fragment once. */
function fieldsUnder(nodes: readonly FieldNode[], { fragments, conditions }: Walk): FieldNode[] {
  const seen = new Set<string>()
  const spread = (name: string): readonly SelectionNode[] => {
    if (seen.has(name)) return []
    seen.add(name)
    return fragments[name]?.selectionSet.selections ?? []
  }
  const flatten = (selection: SelectionNode): FieldNode[] => {
    if (conditions.exclude(selection)) return []
    if (selection.kind === Kind.FIELD) return [selection]
    const inline = selection.kind === Kind.INLINE_FRAGMENT
    return (inline ? selection.selectionSet.selections : spread(selection.name.value)).flatMap(flatten)
  }
  return nodes.flatMap((node) => node.selectionSet?.selections ?? []).flatMap(flatten)
}
