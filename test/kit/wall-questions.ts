/**
 * Questions to the test world that reach other rows as soon as nothing keeps tenants apart: each way in which the API
 * leads from one row to another. Ids of tasks and labels are the same in every tenant.
 */

import type { WorldTenant } from './shard-fixture.ts'

export interface WallQuestion {
  readonly name: string
  readonly query: string
  readonly variables: Readonly<Record<string, unknown>>
}

/** The id of a row, as the API gives it. */
export const id = (...key: unknown[]): string => Buffer.from(JSON.stringify(key)).toString('base64url')

/** @param other  whose ids, keys and texts are asked for */
export function wallQuestions(other: WorldTenant): WallQuestion[] {
  const project = String(other.values.projectIds[0])
  const invoice = other.values.invoiceIds[0]
  const task = other.canary.text('task-1')
  const ask = (name: string, query: string, variables: object = {}): WallQuestion => ({
    ...{ name, query },
    variables: { ...variables },
  })
  return [
    ask('a list', '{ tasks(first: 100) { nodes { id rowId title } edges { cursor } } }'),
    ask(
      'a list from its end',
      '{ labels(last: 100) { nodes { word } pageInfo { startCursor hasPreviousPage } } }',
    ),
    ask('several lists', '{ a: projects { nodes { name } } b: invoices { nodes { reference } } }'),
    ask('a count', '{ tasks { totalCount } projects { totalCount } }'),
    ask('a filter', 'query ($title: String!) { tasks(filter: { title: { eq: $title } }) { totalCount } }', {
      title: task,
    }),
    ask(
      'a filter of alternatives',
      `query ($title: String!) { tasks(first: 100, filter: { or: [{ title: { eq: $title } }, { rowId: { eq: 1 } }] }) {
        nodes { title } } }`,
      { title: task },
    ),
    ask(
      'a relation to one',
      '{ labels(first: 100, orderBy: [{ word: ASC }]) { nodes { word task { title } } } }',
    ),
    ask('a relation to many', '{ tasks(first: 1) { nodes { labels(first: 100) { nodes { word } } } } }'),
    ask(
      'relations in both directions',
      '{ tasks(first: 3) { nodes { tasksByParent { totalCount nodes { title parent { title } } } invoices { totalCount } } } }',
    ),
    ask(
      'a filter through one',
      'query ($title: String!) { tasks(filter: { parent: { title: { eq: $title } } }) { totalCount } }',
      { title: other.canary.text('task-2') },
    ),
    ask(
      'a filter through many',
      `query ($title: String!) { some: tasks(filter: { tasksByParent: { some: { title: { eq: $title } } } }) { totalCount }
        none: tasks(filter: { labels: { none: { word: { contains: "label-1" } } } }) { totalCount } }`,
      { title: other.canary.text('task-3') },
    ),
    ask(
      'an order by one',
      '{ tasks(first: 100, orderBy: [{ parent: { title: DESC } }, { rowId: ASC }]) { nodes { rowId } edges { cursor } } }',
    ),
    ask(
      'an order by many',
      '{ tasks(first: 100, orderBy: [{ labels: { max: { word: DESC } } }]) { nodes { title } edges { cursor } } }',
    ),
    ask('aggregates', '{ tasks { aggregates { count max { title } sum { effort } } } }'),
    ask('groups', '{ labels { groups(by: [{ word: VALUE }]) { count key { word } } } }'),
    ask(
      'measures of children',
      `{ tasks(first: 3) { nodes { labels { totalCount aggregates { count max { word } } groups(by: [{ word: VALUE }]) { count } } } } }`,
    ),
    ask('a row by its id', 'query ($id: ID!) { project(id: $id) { name } }', { id: id('Project', project) }),
    ask('a row by an id that both have', 'query ($id: ID!) { task(id: $id) { title } }', {
      id: id('Task', '1'),
    }),
    ask('a row by a key', 'query ($name: String!) { projectBy(by: { name: $name }) { name } }', {
      name: other.canary.text('project-1'),
    }),
    ask('a node', 'query ($id: ID!) { node(id: $id) { id ... on Invoice { reference } } }', {
      id: id('Invoice', invoice),
    }),
    ask('nodes', 'query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Project { name } } }', {
      ids: [id('Project', project), id('Invoice', invoice)],
    }),
  ]
}

/** Writes that aim at another tenant's rows: where a wall stands, those stay as they are. */
export function wallWrites(other: WorldTenant): WallQuestion[] {
  const projectId = String(other.values.projectIds[0])
  const project = id('Project', projectId)
  const invoice = id('Invoice', other.values.invoiceIds[0])
  return [
    {
      name: 'an update',
      query: `mutation ($id: ID!) { updateProject(id: $id, patch: { budgetCents: "1" }) { ... on Project { name } } }`,
      variables: { id: project },
    },
    {
      name: 'a delete',
      query: 'mutation ($id: ID!) { deleteInvoice(id: $id) { ... on Invoice { reference } } }',
      variables: { id: invoice },
    },
    {
      name: 'a row that refers to another one',
      query: `mutation ($input: CreateTaskInput!) { createTask(input: $input) { ... on Task { title project { name } } } }`,
      variables: { input: { rowId: 7_000, title: 'mine', projectId } },
    },
    {
      name: 'an upsert of a key that another has',
      query: `mutation ($input: CreateProjectInput!) { upsertProject(input: $input, on: ID) { ... on Project { name } } }`,
      variables: { input: { rowId: projectId, name: 'mine' } },
    },
  ]
}
