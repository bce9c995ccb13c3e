/**
 * Everything that a tenant can ask about another one's row, made from the model: by each id, key, column,
 * relation, cursor and measure for reading, and by each id, filter, key and foreign key for writing.
 *
 * A question holds the other tenant's values in its variables, so that the same document can be asked with
 * values of nobody.
 */

import { type Known, type Row, type Subject, Theirs } from './isolation-subject.ts'
import { writesAbout } from './isolation-writes.ts'

export interface Question {
  /** 'Ticket filter subject eq'. */
  readonly name: string
  readonly query: string
  /** With `Theirs` in the places of the other tenant's values. */
  readonly variables: Row
}

/** The variables with each value of the other tenant's as `as` has it. */
export function withTheirs(variables: unknown, as: (value: unknown) => unknown): unknown {
  if (variables instanceof Theirs) return as(variables.value)
  if (Array.isArray(variables)) return variables.map((item) => withTheirs(item, as))
  if (typeof variables !== 'object' || variables === null) return variables
  return Object.fromEntries(Object.entries(variables).map(([key, item]) => [key, withTheirs(item, as)]))
}

/** All questions about one table. @param all  what is known of each table, by id */
export function questionsAbout(subject: Subject, all: ReadonlyMap<string, Known>): Question[] {
  return [...lookups(subject), ...lists(subject), ...relations(subject), ...writesAbout(subject, all)]
}

const PAGE = '{ totalCount nodes { __typename } aggregates { count } }'

function lookups(subject: Subject): Question[] {
  const { typeName, oneField, primaryKey } = subject.table
  const id = subject.their('id')
  const byKey = subject.keys().map(({ name, value }) =>
    ask(subject, `by ${name}`, `($by: ${typeName}Key!) { found: ${oneField}By(by: $by) { __typename } }`, {
      by: { [name]: value },
    }),
  )
  if (primaryKey.length === 0) return byKey
  return [
    ask(subject, 'node', '($id: ID!) { found: node(id: $id) { id } }', { id }),
    ask(subject, 'nodes', '($id: ID!) { found: nodes(ids: [$id]) { id } }', { id }),
    ask(subject, 'one', `($id: ID!) { found: ${oneField}(id: $id) { __typename } }`, { id }),
    ask(subject, 'by id', `($id: ID!) { found: ${oneField}By(by: { id: $id }) { __typename } }`, { id }),
    ...byKey,
  ]
}

function lists(subject: Subject): Question[] {
  const { typeName, manyField } = subject.table
  const cursor = new Theirs(subject.known.cursor)
  const filtered = subject.conditions().map(({ name, filter }) =>
    ask(
      subject,
      `filter ${name}`,
      `($filter: ${typeName}Filter!) { found: ${manyField}(filter: $filter) ${PAGE}
        not: ${manyField}(filter: { not: $filter }) { totalCount } }`,
      { filter },
    ),
  )
  const groups = subject
    .groupable()
    .map((field) =>
      ask(
        subject,
        `groups ${field}`,
        `($filter: ${typeName}Filter!) { found: ${manyField}(filter: $filter) { groups(by: [{ ${field}: VALUE }]) { count } } }`,
        { filter: { [field]: { eq: subject.their(field) } } },
      ),
    )
  const cursors = (['after', 'before'] as const).map((side) =>
    ask(
      subject,
      side,
      `($cursor: String!) { found: ${manyField}(${side}: $cursor, first: 2) { totalCount } }`,
      { cursor },
    ),
  )
  return [...filtered, ...groups, ...cursors]
}

/** Through relations of this table to the row that is asked about: its own keys, seen from next door. */
function relations(subject: Subject): Question[] {
  const { typeName, manyField, relations } = subject.table
  return relations.flatMap(({ field, kind, columns }) => {
    const [first, ...more] = columns
    const own = subject.table.columns.find(({ name }) => name === first?.own)
    const value = own && subject.known.other[own.field]
    const wanted = subject.filterOf(field, kind)
    const other = first && wanted?.find(({ column }) => column === first.other)
    if (!own || !other || more.length > 0 || value === null || value === undefined) return []
    if (subject.known.has(own.field, value)) return []
    const inner = { [other.field]: { eq: new Theirs(value) } }
    const filters = kind === 'one' ? [inner] : [{ some: inner }, { none: inner }, { every: { not: inner } }]
    return filters.map((filter) =>
      ask(
        subject,
        `filter through ${field} ${Object.keys(filter)[0]}`,
        `($filter: ${typeName}Filter!) { found: ${manyField}(filter: $filter, first: 1) { totalCount } }`,
        { filter: { [field]: filter } },
      ),
    )
  })
}

function ask(subject: Subject, name: string, rest: string, variables: Row): Question {
  return { name: `${subject.table.typeName} ${name}`, query: `query ${rest}`, variables }
}
