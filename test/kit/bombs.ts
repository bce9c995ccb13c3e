/**
 * Requests that are short to write and dear to answer, for the tables of the test world: documents that stand for more
 * than they say, and variables that ask for what no reader of the document can see. Every one of them has to be refused.
 */

export interface Bomb {
  readonly name: string
  readonly body: string
}

const bomb = (name: string, query: string, variables?: object): Bomb => ({
  name,
  body: JSON.stringify({ query, variables }),
})

const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const text = (count: number, make: (i: number) => string): string => times(count, make).join(' ')
const around = (levels: number, open: string, inner: string, close: string): string =>
  open.repeat(levels) + inner + close.repeat(levels)

/** Lists that lead back to where they began: the root, and what follows at each turn. */
const RINGS = [
  { name: 'tasks of projects of tasks', list: 'tasks', row: 'project', back: 'tasks' },
  { name: 'invoices of projects of invoices', list: 'invoices', row: 'project', back: 'invoices' },
  { name: 'tasks of projects', list: 'projects', row: '', back: 'tasks' },
] as const

type Ring = (typeof RINGS)[number]

/** Lists in lists, three full pages deep and more. */
function ring({ list, row, back }: Ring, args: string, rows: 'nodes' | 'edges'): string {
  const [open, close] = rows === 'nodes' ? ['nodes {', '}'] : ['edges { node {', '} }']
  const below = (inner: string): string => `${list}${args} { ${open} ${inner} ${close} }`
  // The default depth leaves room for three turns from a row, and for two from a list.
  if (row === '') return below(`${back}${args} { ${open} ${turns(2, 'project', back)} ${close} }`)
  return below(turns(rows === 'nodes' ? 3 : 2, row, back))

  function turns(count: number, by: string, to: string): string {
    return around(count, `${by} { ${to}${args} { ${open} `, 'id', ` ${close} } }`)
  }
}

/** The ways in which a page may come by its size. */
const SIZES: readonly (readonly [name: string, head: string, args: string, variables?: object])[] = [
  ['as a number', 'query', '(first: 100)'],
  ['as a number from the end', 'query', '(last: 100)'],
  ['in a variable', 'query ($n: Int)', '(first: $n)', { n: 100 }],
  ['in a variable that must be', 'query ($n: Int!)', '(first: $n)', { n: 100 }],
  ['in a variable, from the end', 'query ($n: Int)', '(last: $n)', { n: 100 }],
  ['as the default of a variable', 'query ($n: Int = 100)', '(first: $n)'],
  ['as the default of a variable, from the end', 'query ($n: Int! = 100)', '(last: $n)', {}],
  ['in a variable against its default', 'query ($n: Int = 1)', '(first: $n)', { n: 100 }],
  ['beside null', 'query ($n: Int, $m: Int)', '(first: $m, last: $n)', { n: 100, m: null }],
]

function rings(): Bomb[] {
  return RINGS.flatMap((one) =>
    SIZES.flatMap(([name, head, args, variables]) => [
      bomb(`${one.name}, ${name}`, `${head} { ${ring(one, args, 'nodes')} }`, variables),
      bomb(`${one.name} by edges, ${name}`, `${head} { ${ring(one, args, 'edges')} }`, variables),
    ]),
  )
}

function dressedRings(): Bomb[] {
  const [one] = RINGS
  const sized = (args: string): string => ring(one, args, 'nodes')
  return [
    bomb('a ring in a fragment', `query ($n: Int) { ...R } fragment R on Query { ${sized('(first: $n)')} }`, {
      n: 100,
    }),
    bomb(
      'a ring that is let in',
      `query ($n: Int, $x: Boolean!) { ... @include(if: $x) { ${sized('(first: $n)')} } }`,
      {
        n: 100,
        x: true,
      },
    ),
    bomb(
      'a ring that is not skipped',
      `query ($x: Boolean = false) { ... @skip(if: $x) { ${sized('(first: 100)')} } }`,
    ),
    bomb(
      'a ring behind a harmless operation',
      `query A { __typename } query B($n: Int = 100) { ${sized('(first: $n)')} }`,
    ),
    bomb(
      'a ring behind a write',
      `mutation ($n: Int) { deleteTask(id: "x") { ... on Task { ${inTask('(first: $n)')} } } }`,
      {
        n: 100,
      },
    ),
    bomb(
      'a ring behind each of many writes',
      `mutation ($n: Int!) { updateTasks(filter: {}, patch: { done: true }, atMost: $n) { ... on TaskChanges { nodes { ${inTask('(first: 60)')} } } } }`,
      { n: 5_000 },
    ),
    bomb(
      'a ring behind each of many ids',
      `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Task { ${inTask('(first: 100)')} } } }`,
      { ids: times(100, (i) => `x${i}`) },
    ),
  ]
}

const inTask = (
  args: string,
): string => `project { tasks${args} { nodes { project { tasks${args} { nodes { project {
  tasks${args} { totalCount } } } } } } } }`

function documents(): Bomb[] {
  const repeated = (count: number, field: (i: number) => string): string => `{ ${text(count, field)} }`
  const fragments = (count: number, spread: (name: string) => string): string =>
    `{ tasks { nodes { ...F${count} } } } fragment F0 on Task { id } ${text(
      count,
      (i) => `fragment F${i + 1} on Task { ${spread(`F${i}`)} }`,
    )}`
  return [
    ...[31, 60, 120, 200].flatMap((n) => [
      bomb(
        `${n} aliases at the top`,
        repeated(n, (i) => `a${i}: __typename`),
      ),
      bomb(
        `${n} aliases of lists`,
        repeated(n, (i) => `a${i}: tasks(first: 100) { totalCount }`),
      ),
      bomb(`${n} aliases in a row`, `{ tasks { nodes { ${text(n, (i) => `a${i}: title`)} } } }`),
      bomb(
        `${n} aliases in a fragment`,
        `{ tasks { nodes { ...F } } } fragment F on Task { ${text(n, (i) => `a${i}: id`)} }`,
      ),
      bomb(
        `${n} aliases by spreading`,
        `{ ${text(8, (i) => `t${i}: tasks { nodes { ...F } }`)} } fragment F on Task { ${text(n / 8, (i) => `a${i}: id`)} }`,
      ),
    ]),
    ...[21, 50, 300].flatMap((n) => [
      bomb(
        `${n} fields at the top`,
        repeated(n, (i) => (i % 2 ? '__typename' : 'tasks { totalCount }')),
      ),
      bomb(
        `${n} fields at the top of a mutation`,
        `mutation { ${text(n, () => 'deleteTask(id: "x") { __typename }')} }`,
      ),
    ]),
    ...[13, 20, 40, 90].flatMap((n) => [
      bomb(`${n} levels`, `{ tasks { nodes ${around(n, '{ parent ', '{ id }', ' }')} } }`),
      bomb(
        `${n} levels behind fragments`,
        `{ tasks { nodes { ...P } } } fragment P on Task ${around(n, '{ parent ', '{ id }', ' }')}`,
      ),
      bomb(
        `${n} levels of inline fragments and rows`,
        `{ tasks { nodes ${around(n, '{ ... on Task { parent ', '{ id }', ' } }')} } }`,
      ),
      bomb(
        `${n} levels of introspection`,
        `{ __schema { types { fields { type ${around(n, '{ ofType ', '{ name }', ' }')} } } } }`,
      ),
    ]),
    ...[33, 100, 400].flatMap((n) => [
      bomb(`${n} times one field`, `{ tasks { nodes { ${text(n, () => 'title')} } } }`),
      bomb(
        `${n} times one list`,
        `{ projects { nodes { ${text(Math.min(n, 120), () => 'tasks { nodes { id } }')} } } }`,
      ),
      bomb(
        `${n} times one fragment`,
        `{ tasks { nodes { ${text(n, () => '...F')} } } } fragment F on Task { id title }`,
      ),
    ]),
    ...[6, 20, 51, 200].flatMap((n) => [
      bomb(`${n} directives at one place`, `{ __typename ${'@skip(if: false) '.repeat(Math.min(n, 140))} }`),
      bomb(`${n} directives that there are not`, `{ __typename ${'@aa'.repeat(n)} }`),
      bomb(`${n} directives on an operation`, `query ${'@aa'.repeat(n)} { __typename }`),
    ]),
    ...[10, 30, 60].flatMap((n) => [
      bomb(
        `2^${n} fields`,
        fragments(n, (name) => `...${name} ...${name}`),
      ),
      bomb(
        `2^${n} fields in inline fragments`,
        fragments(n, (name) => `...${name} ... { ...${name} }`),
      ),
      bomb(
        `2^${n} rows`,
        fragments(n, (name) => `parent { ...${name} } a: parent { ...${name} }`),
      ),
    ]),
    bomb(
      'a circle of fragments',
      '{ tasks { nodes { ...A } } } fragment A on Task { ...B } fragment B on Task { ...A }',
    ),
    bomb('a fragment in itself', '{ tasks { nodes { ...A } } } fragment A on Task { parent { ...A } }'),
    bomb('1,100 tokens', `{ tasks { nodes { ${text(1_100, (i) => `f${i}`)} } } }`),
    bomb('100 kB of brackets', `{ tasks(filter: ${'['.repeat(100_000)}`),
    bomb('100 kB of braces', '{'.repeat(100_000)),
    bomb('100 kB of objects', `{ tasks(filter: ${'{a:'.repeat(33_000)}`),
    bomb(
      '200 fields that there are not',
      `{ ${text(20, (i) => `no${i}`)} tasks { nodes { ${text(200, (i) => `no${i}`)} } } }`,
    ),
    bomb('400 variables', `query (${text(300, (i) => `$v${i}: Int`)}) { __typename }`),
    bomb('a list of 500 in the document', `{ nodes(ids: [${text(500, (i) => `"${i}"`)}]) { id } }`),
    bomb(
      'conditions in the document',
      `{ tasks(filter: { or: [${text(110, () => '{ done: { eq: true } }')}] }) { totalCount } }`,
    ),
  ]
}

/** What the values of variables hold; documents that any client may send. */
function variables(): Bomb[] {
  const filtered = 'query ($f: TaskFilter) { tasks(first: 1, filter: $f) { nodes { id } } }'
  const creates =
    'mutation ($p: [CreateProjectInput!]!) { createProjects(input: $p) { ... on ProjectChanges { count } } }'
  const create = 'mutation ($p: CreateProjectInput!) { createProject(input: $p) { __typename } }'
  // As text: JSON.stringify fills the call stack before the gateway gets to see anything.
  const nested = (levels: number, open: string, close: string): string =>
    `{"query":${JSON.stringify(filtered)},"variables":{"f":${around(levels, open, '{}', close)}}}`
  const filters: readonly (readonly [string, (n: number) => object])[] = [
    ['alternatives', (n) => ({ or: times(n, (i) => ({ title: { eq: `${i}` } })) })],
    ['conditions', (n) => ({ and: times(n, (i) => ({ title: { neq: `${i}` } })) })],
    ['empty conditions', (n) => ({ and: times(n, () => ({})) })],
    ['conditions of related rows', (n) => ({ and: times(n, () => ({ project: { name: { eq: 'x' } } })) })],
    ['conditions of rows below', (n) => ({ or: times(n, () => ({ project: { tasks: { some: {} } } })) })],
    ['negations', (n) => ({ and: times(n, () => ({ not: { done: { eq: true } } })) })],
  ]
  const deep = [
    ['negations', '{"not":', '}'],
    ['conjunctions', '{"and":[', ']}'],
    ['parents', '{"parent":', '}'],
    ['turns from project to task', '{"project":{"tasks":{"some":', '}}}'],
    ['lists', '[', ']'],
  ] as const
  return [
    ...filters.flatMap(([name, make]) =>
      [300, 2_000, 5_000].map((n) => bomb(`${n} ${name} in a variable`, filtered, { f: make(n) })),
    ),
    ...deep.flatMap(([name, open, close]) =>
      [110, 1_000, 7_000].map((n) => ({
        name: `${n} ${name}, one in the other`,
        body: nested(n, open, close),
      })),
    ),
    ...[1_001, 20_000].flatMap((n) => [
      bomb(`a list of ${n} to compare with`, filtered, { f: { title: { in: times(n, (i) => `${i}`) } } }),
      bomb(`a list of ${n} not to be`, filtered, { f: { title: { notIn: times(n, (i) => `${i}`) } } }),
      bomb(`a pattern of ${n} characters`, filtered, { f: { title: { ilike: '%_'.repeat(n / 2 + 1) } } }),
      bomb(`a text of ${n} to find`, filtered, { f: { title: { contains: 'x'.repeat(n) } } }),
    ]),
    ...[51, 5_000].map((n) =>
      bomb(`an order by ${n} columns`, 'query ($o: [TaskOrderBy!]) { tasks(orderBy: $o) { totalCount } }', {
        o: times(n, () => ({ title: 'ASC' })),
      }),
    ),
    ...[101, 20_000].map((n) =>
      bomb(`${n} ids`, 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: times(n, (i) => `${i}`) }),
    ),
    ...[101, 10_000, 2_147_483_647, -1, 4_294_967_296, 1e300].flatMap((n) => [
      bomb(`a page of ${n}`, 'query ($n: Int) { tasks(first: $n) { nodes { id } } }', { n }),
      bomb(`a page of ${n} from the end`, 'query ($n: Int) { tasks(last: $n) { nodes { id } } }', { n }),
      bomb(
        `a page of ${n} below rows`,
        'query ($n: Int) { projects { nodes { tasks(first: $n) { nodes { id } } } } }',
        { n },
      ),
    ]),
    ...[10_001, 2_147_483_647].map((n) =>
      bomb(`${n} rows to pass over`, 'query ($n: Int) { tasks(offset: $n) { nodes { id } } }', { n }),
    ),
    ...[10_001, 2_147_483_647, -1].flatMap((n) => [
      bomb(
        `${n} rows to delete`,
        'mutation ($n: Int!) { deleteTasks(filter: {}, atMost: $n) { __typename } }',
        { n },
      ),
      bomb(
        `${n} rows to change`,
        'mutation ($n: Int!) { updateTasks(filter: {}, patch: { done: true }, atMost: $n) { __typename } }',
        { n },
      ),
    ]),
    ...[10_001, 20_000].flatMap((n) => [
      bomb(`${n} rows without a name`, creates, { p: times(n, () => ({})) }),
      bomb(`${n} nulls for rows`, creates, { p: times(n, () => null) }),
    ]),
    bomb('12,000 children of one row', create, {
      p: { rowId: '1', name: 'x', tasks: times(12_000, () => ({ rowId: 1 })) },
    }),
    bomb('80,000 empty objects', filtered, { f: { and: times(80_000, () => ({})) } }),
    bomb('80,000 empty lists', filtered, { f: { and: times(80_000, () => []) } }),
    bomb('100,000 numbers where objects belong', filtered, { f: { and: times(100_000, () => 1) } }),
    bomb('20,000 fields that there are not', filtered, {
      f: Object.fromEntries(times(20_000, (i) => [`no${i}`, 1])),
    }),
    bomb('5,000 groupings', 'query ($by: [TaskGroupBy!]!) { tasks { groups(by: $by) { count } } }', {
      by: times(5_000, () => ({ state: 'VALUE' })),
    }),
    bomb(
      'a page of groups',
      'query ($n: Int) { tasks { groups(by: [{ state: VALUE }], first: $n) { count } } }',
      {
        n: 10_000,
      },
    ),
    bomb('a cursor of 200 kB', 'query ($c: String) { tasks(after: $c) { nodes { id } } }', {
      c: 'x'.repeat(200_000),
    }),
    bomb('an id of 200 kB', 'query ($id: ID!) { task(id: $id) { id } }', { id: 'x'.repeat(200_000) }),
    bomb(
      '50 wrong values',
      `query (${text(50, (i) => `$v${i}: Int`)}) { ${text(20, (i) => `tasks(first: $v${i}) { totalCount }`)} }`,
      {
        ...Object.fromEntries(times(50, (i) => [`v${i}`, 'x'])),
      },
    ),
  ]
}

/** Bodies that are no single operation. */
function bodies(): Bomb[] {
  const query = '{ __typename }'
  const batch = (count: number): string => JSON.stringify(times(count, () => ({ query })))
  return [
    { name: 'a batch of 10', body: batch(10) },
    { name: 'a batch of 5,000', body: batch(5_000) },
    { name: '300 kB', body: JSON.stringify({ query, variables: { x: 'x'.repeat(300_000) } }) },
    { name: '200 kB of open lists', body: '['.repeat(200_000) },
    { name: '200 kB of open objects', body: '{"a":'.repeat(40_000) },
    { name: 'a number of 200,000 digits', body: `{"query":${'9'.repeat(200_000)}}` },
    {
      name: 'a hash that nobody has registered',
      body: JSON.stringify({ extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } } }),
    },
  ]
}

export const BOMBS: readonly Bomb[] = [
  ...rings(),
  ...dressedRings(),
  ...documents(),
  ...variables(),
  ...bodies(),
]
