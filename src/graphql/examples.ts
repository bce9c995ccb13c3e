/**
 * Example queries, made from the tables that exist: the tabs that GraphiQL opens with.
 *
 * Each should return rows on the first run, whatever the tables are. So filters are chosen wide, and
 * the row to create is one whose required columns can be filled in without knowing another row.
 */

import type { Column, EnumType, Model, Relation, Table } from '../model/types.ts'
import { isSummable } from './plan/measures.ts'

export interface Example {
  /** A few words for people. */
  readonly title: string
  /** One named operation without variables, formatted, without a line feed at its end. */
  readonly query: string
}

/**
 * Up to five examples: a list, relations, filter and order, groups, a mutation. All but the last ask for the
 * table with the most relations. An example that the tables do not allow is left out.
 */
export function exampleQueries(model: Model): Example[] {
  const main = byRelations(model.tables)[0]
  if (!main) return []
  const examples = [list(main), related(main, model), filtered(main, model), grouped(main), create(model)]
  return examples.filter((example) => example !== null)
}

function list(table: Table): Example {
  const fields = scalars(table, 6)
  const page = ['pageInfo {', '  hasNextPage', '  endCursor', '}']
  return {
    title: `The first five ${words(table.manyField)}`,
    query: block(`query ${table.typeName}List`, [
      ...block(`${table.manyField}(first: 5)`, [...block('nodes', fields), ...page]),
    ]).join('\n'),
  }
}

function related(table: Table, model: Model): Example | null {
  const ones = pick(table.relations, 'one', model, 2).map(({ relation, target }) =>
    block(relation.field, scalars(target, 2)),
  )
  const many = pick(table.relations, 'many', model, 1).map(({ relation, target }) =>
    block(`${relation.field}(first: 3)`, block('nodes', scalars(target, 2))),
  )
  const lines = [...ones, ...many].flat()
  if (lines.length === 0) return null
  return {
    title: `${capital(words(table.manyField))} with related rows`,
    query: block(
      `query ${table.typeName}Relations`,
      block(`${table.manyField}(first: 5)`, block('nodes', [...scalars(table, 2), ...lines])),
    ).join('\n'),
  }
}

function filtered(table: Table, model: Model): Example {
  const filter = filterOf(table, model)
  const order = orderOf(table)
  const given = ['first: 5', filter && `filter: ${filter}`, order && `orderBy: ${order}`]
  return {
    title: `Filter, order and count ${words(table.manyField)}`,
    query: block(
      `query ${table.typeName}Search`,
      block(`${table.manyField}(${given.filter(Boolean).join(', ')})`, [
        'totalCount',
        ...block('nodes', scalars(table, 4)),
      ]),
    ).join('\n'),
  }
}

/** Null without a column that makes a few groups. */
function grouped(table: Table): Example | null {
  const columns = ordinary(table).filter(({ can }) => can.filter)
  const of = (kind: Column['type']['kind']): Column | undefined =>
    columns.find(({ type }) => type.kind === kind)
  const few = of('enum') ?? of('boolean')
  const column = few ?? newest(columns)
  if (!column) return null
  const number = columns.find(isSummable)
  const measures = ['count', ...(number ? block('avg', [number.field]) : [])]
  const by = `by: [{ ${column.field}: ${few ? 'VALUE' : 'MONTH'} }]`
  return {
    title: `${capital(words(table.manyField))} in groups`,
    query: block(
      `query ${table.typeName}Groups`,
      block(table.manyField, [
        ...block('aggregates', measures),
        ...block(`groups(${by})`, [...block('key', [column.field]), ...measures]),
      ]),
    ).join('\n'),
  }
}

/** Null when no table has a row that can be made up. */
function create(model: Model): Example | null {
  const candidates = byRelations(model.tables).filter(
    ({ primaryKey, can }) => primaryKey.length > 0 && can.create,
  )
  const made = candidates.map((table) => ({ table, input: inputOf(table, model) }))
  // A second run of the same mutation would break a unique key; that answer is data too, but no welcome.
  const best = made.find(({ table, input }) => input && !repeats(table)) ?? made.find(({ input }) => input)
  if (!best?.input) return null
  const { table, input } = best
  return {
    title: `Create one of the ${words(table.manyField)}`,
    query: block(
      `mutation ${table.typeName}Create`,
      block(`create${table.typeName}(input: { ${input.join(', ')} })`, [
        '__typename',
        ...block(`... on ${table.typeName}`, scalars(table, 3)),
        ...block('... on ConstraintError', ['message']),
      ]),
    ).join('\n'),
  }
}

/** `field: value` of each column that must be given; null when one of them cannot be made up. */
function inputOf(table: Table, model: Model): string[] | null {
  const required = requiredColumns(table)
  const label = labelOf(table)
  const given = required.length > 0 || !label ? required : [label]
  if (given.some(({ name, can }) => !can.create || foreignColumns(table).has(name))) return null
  const entries = given.map((column) => [column.field, literal(column, model.enums)] as const)
  if (entries.length === 0 || entries.some(([, value]) => value === null)) return null
  return entries.map(([field, value]) => `${field}: ${value}`)
}

const requiredColumns = (table: Table): Column[] =>
  table.columns.filter(({ nullable, hasDefault, readOnly }) => !nullable && !hasDefault && !readOnly)

function repeats(table: Table): boolean {
  const given = new Set([...requiredColumns(table).map(({ name }) => name), table.tenantColumn])
  const keys = [table.primaryKey, ...table.uniques.map(({ columns }) => columns)]
  return keys.some((columns) => columns.every((name) => given.has(name)))
}

function literal(column: Column, enums: readonly EnumType[]): string | null {
  const one = column.type.kind === 'enum' ? enumValue(column, enums) : madeUp(column)
  return column.type.array && one ? `[${one}]` : one
}

function madeUp({ field, type }: Column): string | null {
  switch (type.kind) {
    case 'boolean':
      return 'true'
    case 'int':
      return '1'
    case 'float':
      return '1.5'
    case 'bigint':
      return '"1"'
    case 'decimal':
      return '"1.00"'
    case 'text':
      return /email/i.test(field) ? '"someone@example.com"' : '"From GraphiQL"'
    case 'uuid':
      return '"00000000-0000-4000-8000-000000000001"'
    case 'date':
      return '"2026-01-31"'
    case 'time':
      return '"12:00:00"'
    case 'datetime':
      return '"2026-01-31T12:00:00Z"'
    case 'interval':
      return '"1 day"'
    case 'json':
      return '{ from: "GraphiQL" }'
    case 'enum':
    case 'bytes':
    case 'range':
    case 'composite':
    case 'other':
      return null
  }
}

function enumValues(column: Column, enums: readonly EnumType[]): string[] {
  return enums.find(({ id }) => id === column.type.enum)?.values.map(({ name }) => name) ?? []
}

const enumValue = (column: Column, enums: readonly EnumType[]): string | null =>
  enumValues(column, enums)[0] ?? null

/** A filter that keeps most rows, so that the example is never an empty page; null without a column for it. */
function filterOf(table: Table, model: Model): string | null {
  const filter = (column: Column | undefined, wide: (column: Column) => string): string | null =>
    column ? `{ ${column.field}: { ${wide(column)} } }` : null
  const notNull = ordinary(table).filter(({ nullable, can }) => !nullable && can.filter)
  const of = (...kinds: readonly Column['type']['kind'][]): Column | undefined =>
    notNull.find(({ type }) => kinds.includes(type.kind))
  return (
    filter(of('enum'), (column) => `in: [${enumValues(column, model.enums).slice(0, 2).join(', ')}]`) ??
    filter(of('datetime'), () => 'gte: "2000-01-01T00:00:00Z"') ??
    filter(of('date'), () => 'gte: "2000-01-01"') ??
    filter(of('text'), () => 'neq: ""') ??
    filter(of('int'), () => 'gte: 0')
  )
}

/** Newest first where there is a moment of creation, else by any column that can be ordered. */
function orderOf(table: Table): string | null {
  const column = newest(ordinary(table)) ?? labelOf(table)
  return column?.can.order ? `[{ ${column.field}: DESC }]` : null
}

function newest(columns: readonly Column[]): Column | undefined {
  const moments = columns.filter(({ type }) => type.kind === 'datetime' || type.kind === 'date')
  return moments.find(({ name }) => /^created/.test(name)) ?? moments[0]
}

function byRelations(tables: readonly Table[]): Table[] {
  const weight = ({ relations, columns }: Table): number => relations.length * 1_000 + columns.length
  return [...tables].sort((a, b) => weight(b) - weight(a))
}

interface Followed {
  readonly relation: Relation
  readonly target: Table
}

/** Relations that lead to a row with something to read, before those that lead to a junction. */
function pick(
  relations: readonly Relation[],
  kind: Relation['kind'],
  model: Model,
  count: number,
): Followed[] {
  const followed = relations
    .filter((relation) => relation.kind === kind)
    .flatMap((relation) => {
      const target = model.tables.find(({ id }) => id === relation.target)
      return target ? [{ relation, target }] : []
    })
  const readable = followed.filter(({ target }) => labelOf(target))
  return (readable.length > 0 ? readable : followed).slice(0, count)
}

/** `id`, the column that names the row, then others, long texts last: `count` fields at most. */
function scalars(table: Table, count: number): string[] {
  const label = labelOf(table)
  const others = ordinary(table).filter((column) => column !== label)
  const [texts, short] = [others.filter(isText), others.filter((column) => !isText(column))]
  const fields = [...(label ? [label] : []), ...short, ...texts].map(({ field }) => field)
  const all = table.primaryKey.length > 0 ? ['id', ...fields] : fields
  return all.length > 0 ? all.slice(0, count) : ['__typename']
}

const isText = ({ type }: Column): boolean => type.kind === 'text'

const NAMES = ['name', 'title', 'subject', 'full_name', 'label', 'email', 'body', 'description']

function labelOf(table: Table): Column | undefined {
  const texts = ordinary(table).filter(isText)
  const named = NAMES.map((name) => texts.find((column) => column.name === name)).find(Boolean)
  return named ?? texts[0]
}

/** Columns with one plain value: no keys, no lists, nothing that fills a screen. */
function ordinary(table: Table): Column[] {
  const keys = new Set([...table.primaryKey, ...foreignColumns(table)])
  const bulky = new Set(['json', 'bytes', 'range', 'composite', 'other'])
  return table.columns
    .filter(({ name, type }) => !keys.has(name) && !type.array && !bulky.has(type.kind))
    .filter(({ can, deprecated }) => can.read && deprecated === undefined)
}

function foreignColumns(table: Table): Set<string> {
  const ones = table.relations.filter(({ kind }) => kind === 'one')
  return new Set(ones.flatMap(({ columns }) => columns.map(({ own }) => own)))
}

const block = (head: string, lines: readonly string[]): string[] => [
  `${head} {`,
  ...lines.map((line) => `  ${line}`),
  '}',
]

const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
