/**
 * What a tenant can try to write by another one's row: by its id, by a filter, by its keys, and by pointing to
 * what it points to. Each ends in a field that fails, and so leaves nothing behind.
 */

import { capitalized } from '../../src/model/names.ts'
import type { Question } from './isolation-questions.ts'
import { type Known, type Row, type Subject, Theirs } from './isolation-subject.ts'

/** @param all  what is known of each table, by id, for the children of a nested create */
export function writesAbout(subject: Subject, all: ReadonlyMap<string, Known>): Question[] {
  const { can } = subject.table
  return [
    ...(can.update ? updates(subject) : []),
    ...(can.delete ? deletes(subject) : []),
    ...(can.create ? [...creates(subject), ...nestedCreates(subject, all)] : []),
  ]
}

function updates(subject: Subject): Question[] {
  const { typeName, manyField } = subject.table
  const { own } = subject.known
  const patched = subject.references().concat(subject.uniques())
  const harmless = subject.harmlessPatch()
  const change = `update${typeName}(id: $id, patch: $patch) ${outcome(typeName)}`
  const head = `($id: ID!, $patch: ${typeName}Patch!)`
  const byId = typeof own.id === 'string'
  return [
    ...(byId && harmless
      ? [write(subject, 'update', head, change, { id: subject.their('id'), patch: harmless })]
      : []),
    ...(byId
      ? patched
          .map(({ name, values }) => ({ name, patch: subject.patchable(values) }))
          .filter(({ patch }) => Object.keys(patch).length > 0)
          .map(({ name, patch }) =>
            write(subject, `update own row to ${name}`, head, change, { id: own.id, patch }),
          )
      : []),
    ...(harmless
      ? subject
          .conditions()
          .map(({ name, filter }) =>
            write(
              subject,
              `update several by ${name}`,
              `($filter: ${typeName}Filter!, $patch: ${typeName}Patch!)`,
              `update${capitalized(manyField)}(filter: $filter, patch: $patch, atMost: 5) { __typename ... on ${typeName}Changes { count } }`,
              { filter, patch: harmless },
            ),
          )
      : []),
  ]
}

function deletes(subject: Subject): Question[] {
  const { typeName, manyField } = subject.table
  const id = subject.their('id')
  const byId = subject.table.primaryKey.length > 0
  const one = `delete${typeName}(id: $id) ${outcome(typeName)}`
  return [
    ...(byId ? [write(subject, 'delete', '($id: ID!)', one, { id })] : []),
    ...subject
      .conditions()
      .map(({ name, filter }) =>
        write(
          subject,
          `delete several by ${name}`,
          `($filter: ${typeName}Filter!)`,
          `delete${capitalized(manyField)}(filter: $filter, atMost: 5) { __typename ... on ${typeName}Changes { count } }`,
          { filter },
        ),
      ),
  ]
}

/** Rows like one's own but for what is the other's: all of it, each foreign key, each unique key. */
function creates(subject: Subject): Question[] {
  const { typeName, manyField } = subject.table
  const names = subject.table.columns.map(({ name }) => name)
  const whole = { name: 'a copy', values: subject.theirs(names) }
  const input = `Create${typeName}Input!`
  return [whole, ...subject.references(), ...subject.uniques()].flatMap(({ name, values }) => {
    const row = subject.creatable({ ...subject.fresh(), ...values })
    return [
      write(
        subject,
        `create ${name}`,
        `($row: ${input})`,
        `create${typeName}(input: $row) ${outcome(typeName)}`,
        { row },
      ),
      write(
        subject,
        `create several ${name}`,
        `($row: ${input})`,
        `create${capitalized(manyField)}(input: [$row]) { __typename ... on ConstraintError { kind message columns constraint } }`,
        { row },
      ),
      ...subject
        .keyNames()
        .map((key) =>
          write(
            subject,
            `upsert ${name} on ${key}`,
            `($row: ${input}, $on: ${typeName}KeyName!)`,
            `upsert${typeName}(input: $row, on: $on) ${outcome(typeName)}`,
            { row, on: key },
          ),
        ),
    ]
  })
}

/** The own row again with a child that is the other's in all but its parent. */
function nestedCreates(subject: Subject, all: ReadonlyMap<string, Known>): Question[] {
  const { typeName, relations } = subject.table
  return relations.flatMap(({ field, kind, target }) => {
    const fields = subject.nestedFields(field)
    const child = all.get(target)
    if (fields.length === 0 || !child) return []
    const values = fields
      .filter((name) => (child.other[name] ?? null) !== null)
      .map((name) => [name, new Theirs(child.other[name])] as const)
    const nested = Object.fromEntries(values)
    const row: Row = { ...subject.creatable(subject.fresh()), [field]: kind === 'many' ? [nested] : nested }
    const create = `create${typeName}(input: $row) ${outcome(typeName)}`
    return [
      write(subject, `create with the other's ${field}`, `($row: Create${typeName}Input!)`, create, { row }),
    ]
  })
}

function write(subject: Subject, name: string, head: string, field: string, variables: Row): Question {
  const { typeName } = subject.table
  const undone = `undone: delete${typeName}(id: "no id") { __typename }`
  return { name: `${typeName} ${name}`, query: `mutation ${head} { done: ${field} ${undone} }`, variables }
}

const outcome = (typeName: string): string =>
  `{ __typename ... on ${typeName} { __typename } ... on ConstraintError { kind message columns constraint sqlState } }`
