/** The contract of graphql/permissions/permissions.ts and its parts: who may run which operation. */

import { buildSchema, getIntrospectionQuery, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { GatewayError } from '../../src/base/errors.ts'
import type { Event } from '../../src/base/events.ts'
import type { GatewayContext } from '../../src/graphql/context.ts'
import {
  createPermissions,
  type Permissions,
  permissionsPlugin,
} from '../../src/graphql/permissions/permissions.ts'
import { defaultRules, hasRole, type RuleTree, withGrants } from '../../src/graphql/permissions/rules.ts'
import { allow, and, deny, not, or, rule, type ShieldRule } from '../../src/graphql/permissions/shield.ts'
import type { Role } from '../../src/tenant/types.ts'

const schema = buildSchema(`
  interface Node { id: ID! }
  type User implements Node { id: ID! name: String salary: Int boss: User tickets: [Ticket] }
  type Ticket implements Node { id: ID! title: String author: User }
  type Audit implements Node { id: ID! text: String }
  union Found = User | Ticket
  type Query { user: User users: [User] node: Node found: [Found] busiestUsers: [User] forgotten: Int }
  type Mutation { createUser: User updateUser: User deleteUser: ID purgeUsers: Int }
  type Subscription { userChanged: User }
`)

const defaults = defaultRules({
  queries: ['user', 'users', 'node', 'found'],
  mutations: ['createUser', 'updateUser', 'deleteUser', 'purgeUsers'],
})

const events: Event[] = []
const make = (tree: RuleTree = defaults): Permissions =>
  createPermissions(schema, tree, (event) => events.push(event))
const withRule = (key: string, found: ShieldRule): Permissions => make(withGrants(defaults, { [key]: found }))

const contextOf = (roles: readonly Role[]): GatewayContext =>
  ({ scope: { requestId: 'r-1', identity: { tenant: 'acme', roles } } }) as unknown as GatewayContext

interface Asked {
  readonly roles?: readonly Role[]
  readonly variables?: Record<string, unknown>
  readonly operationName?: string
  readonly permissions?: Permissions
}

/** 'allowed', or the sentence of the refusal. */
async function ask(text: string, asked: Asked = {}): Promise<string> {
  const { roles = ['viewer'], variables, operationName, permissions = make() } = asked
  const document = parse(text)
  expect(validate(schema, document)).toEqual([])
  try {
    await permissions.decide({
      document,
      operationName,
      variableValues: variables,
      contextValue: contextOf(roles),
    })
    return 'allowed'
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'FORBIDDEN') return error.message
    throw error
  }
}

const fieldsOf = (text: string, variables = {}, permissions = make()): string[] =>
  permissions
    .requiredRules(parse(text), undefined, variables)
    .flatMap(({ fields }) => fields.map(({ type, field }) => `${type}.${field}`))

describe('roles', () => {
  const wanted: [string, Role][] = [
    ['{ users { id } }', 'viewer'],
    ['mutation { createUser { id } }', 'member'],
    ['mutation { updateUser { id } }', 'member'],
    ['mutation { deleteUser }', 'admin'],
  ]
  const order: Role[] = ['viewer', 'member', 'admin']
  it.each(wanted)('%s asks for %s or more', async (text, least) => {
    for (const role of order) {
      const answer = await ask(text, { roles: [role] })
      if (order.indexOf(role) >= order.indexOf(least)) expect(answer).toBe('allowed')
      else expect(answer).toContain(`needs the role ${least}; the token's roles: ${role}.`)
    }
  })

  it.each([[], ['operator']] as Role[][])('%j is no role of a tenant', async (...roles) => {
    for (const [text] of wanted) expect(await ask(text, { roles })).toContain('needs the role')
  })

  it('the strongest role counts', async () => {
    expect(await ask('mutation { deleteUser }', { roles: ['viewer', 'operator', 'admin'] })).toBe('allowed')
  })

  it('a request without an identity has none', () => {
    expect(hasRole(undefined, 'viewer')).toBe(false)
  })
})

describe('D14: deny by default', () => {
  it.each([
    ['a query that nobody gave a rule', '{ forgotten }', 'Query.forgotten'],
    ['a query beside one that is allowed', '{ users { id } forgotten }', 'Query.forgotten'],
    ['a mutation of an unknown verb', 'mutation { purgeUsers }', 'Mutation.purgeUsers'],
    ['a subscription', 'subscription { userChanged { id } }', 'Subscription.userChanged'],
  ])('%s', async (_, text, field) => {
    expect(await ask(text, { roles: ['admin'] })).toContain(`${field} is open to nobody`)
  })

  it('an operation of a kind that the schema does not have', async () => {
    const small = createPermissions(buildSchema('type Query { a: Int }'), {}, () => {})
    for (const kind of ['mutation', 'subscription']) {
      const decided = small.decide({ document: parse(`${kind} { a }`), contextValue: contextOf(['admin']) })
      await expect(decided).rejects.toMatchObject({ code: 'GRAPHQL_VALIDATION_FAILED' })
    }
  })

  it('but columns of rows are allowed', async () => {
    expect(await ask('{ users { id name boss { salary tickets { title } } } }')).toBe('allowed')
  })

  it.each([
    '{ __typename }',
    '{ users { __typename } }',
    getIntrospectionQuery(),
    '{ __type(name: "User") { name } }',
  ])('introspection is not decided here (%#)', async (text) => {
    expect(await ask(text, { roles: text.includes('users') ? ['viewer'] : [] })).toBe('allowed')
  })

  it('a rule for the whole type counts where no field has its own', async () => {
    const permissions = make({ Query: { '*': allow, users: deny } })
    expect(await ask('{ forgotten }', { permissions })).toBe('allowed')
    expect(await ask('{ users { id } }', { permissions })).toContain('Query.users')
  })
})

describe('whichever way a field is reached', () => {
  const permissions = withRule(
    'User.salary',
    make().requiredRules(parse('mutation { deleteUser }'), null, {})[0]!.rule,
  )
  it.each([
    ['inline', '{ user { salary } }'],
    ['under an alias', '{ user { id: salary } }'],
    ['through a relation', '{ users { tickets { author { boss { salary } } } } }'],
    ['through a fragment', '{ user { ...F } } fragment F on User { salary }'],
    [
      'through nested fragments',
      '{ user { ...A } } fragment A on User { ...B } fragment B on User { boss { ...C } } fragment C on User { salary }',
    ],
    ['through inline fragments', '{ user { ... { ... on User { salary } } } }'],
    ['through an interface', '{ node { ... on User { salary } } }'],
    [
      'through a fragment on an interface',
      '{ node { ...N } } fragment N on Node { id ... on User { salary } }',
    ],
    ['through a union', '{ found { ... on User { salary } } }'],
    ['in a mutation', 'mutation { updateUser { salary } }'],
    ['included by a literal', '{ user { salary @include(if: true) } }'],
    ['skipped and not', '{ user { salary @skip(if: true) boss { salary } } }'],
  ])('%s', async (_, text) => {
    expect(await ask(text, { roles: ['member'], permissions })).toContain('User.salary needs the role admin')
    expect(await ask(text, { roles: ['admin'], permissions })).toBe('allowed')
  })

  it('a field of an interface asks for the rules of every type behind it', async () => {
    const secret = withRule('Audit.id', deny)
    expect(await ask('{ node { id } }', { permissions: secret })).toContain('Audit.id')
    expect(await ask('{ node { ... on User { id } } }', { permissions: secret })).toBe('allowed')
    expect(await ask('{ node { id } }', { permissions: withRule('Audit.*', deny) })).toContain('Audit.id')
  })

  it('the rule of an interface itself counts too', async () => {
    expect(await ask('{ node { id } }', { permissions: withRule('Node.id', deny) })).toContain(
      'open to nobody',
    )
  })

  it('only the operation that runs counts', async () => {
    const text = 'query A { users { id } } mutation B { deleteUser }'
    expect(await ask(text, { operationName: 'A' })).toBe('allowed')
    expect(await ask(text, { operationName: 'B' })).toContain('Mutation.deleteUser')
  })

  it.each([undefined, 'C', ''])('an operation that cannot be told (%j) is refused', async (operationName) => {
    const document = parse('query A { users { id } } query B { users { id } }')
    const contextValue = contextOf(['admin'])
    await expect(make().decide({ document, operationName, contextValue })).rejects.toThrow('no one operation')
  })
})

describe('@skip and @include', () => {
  const text = 'query ($x: Boolean!) { user { id } forgotten @include(if: $x) }'
  it('follow the variables, also for a document that was seen before', async () => {
    const permissions = make()
    const document = parse(text)
    const contextValue = contextOf(['viewer'])
    const decide = (x: boolean): Promise<void> =>
      permissions.decide({ document, variableValues: { x }, contextValue })
    await decide(false)
    await expect(decide(true)).rejects.toThrow('Query.forgotten')
    await decide(false)
  })

  it.each([
    ['a literal', '{ forgotten @skip(if: true) }', {}, []],
    ['both', '{ forgotten @skip(if: false) @include(if: false) }', {}, []],
    ['a default', 'query ($x: Boolean = false) { forgotten @include(if: $x) }', {}, []],
    [
      'a value over a default',
      'query ($x: Boolean = false) { forgotten @include(if: $x) }',
      { x: true },
      ['Query.forgotten'],
    ],
    [
      'a spread',
      'query ($x: Boolean!) { ...F @skip(if: $x) } fragment F on Query { forgotten }',
      { x: true },
      [],
    ],
    [
      'one of two spreads',
      'query ($x: Boolean!) { ...F @skip(if: $x) ...F } fragment F on Query { forgotten }',
      { x: true },
      ['Query.forgotten'],
    ],
    ['an inline fragment', 'query ($x: Boolean!) { ... @skip(if: $x) { forgotten } }', { x: true }, []],
  ] as const)('%s', (_, document, variables, fields) => {
    expect(fieldsOf(document, variables)).toEqual(fields)
  })

  it.each([[{}], [{ x: null }], [{ x: 'false' }], [{ x: 0 }], [{ x: [] }]])(
    'a variable that is no boolean (%j) leaves nothing out',
    (variables) => {
      expect(fieldsOf('query ($x: Boolean!) { forgotten @include(if: $x) }', variables)).toEqual([
        'Query.forgotten',
      ])
      expect(fieldsOf('query ($x: Boolean!) { forgotten @skip(if: $x) }', variables)).toEqual([
        'Query.forgotten',
      ])
    },
  )
})

describe('rules of extensions', () => {
  const answering = (answer: unknown): ShieldRule => rule()(() => answer as boolean)
  const throwing = rule('throws')(() => {
    throw new Error('canary: connection lost')
  })
  const busiest = '{ busiestUsers { id } }'

  it('a role or a rule opens a field', async () => {
    expect(await ask(busiest, { permissions: make() })).toContain('open to nobody')
    const permissions = make(withGrants(defaults, { 'Query.busiestUsers': 'member' }))
    expect(await ask(busiest, { permissions })).toContain('needs the role member')
    expect(await ask(busiest, { roles: ['member'], permissions })).toBe('allowed')
  })

  it.each([
    ['and', and(answering(true), answering(true)), true],
    ['and, one false', and(answering(true), answering(false)), false],
    ['or', or(answering(false), answering(true)), true],
    ['not', not(answering(false)), true],
    ['not, of true', not(answering(true)), false],
    ['allow', allow, true],
    ['deny', deny, false],
    ['undefined', answering(undefined), false],
    ['a number', answering(1), false],
    ['the word true', answering('true'), false],
  ] as const)('%s', async (_, found, opens) => {
    const answer = await ask(busiest, { permissions: withRule('Query.busiestUsers', found) })
    expect(answer === 'allowed').toBe(opens)
  })

  it.each([
    ['alone', throwing],
    ['under not', not(throwing)],
    ['under or, beside one that allows', or(throwing, answering(true))],
    ['later', rule()(async () => Promise.reject(new Error('canary')))],
    ["cached as 'strict'", rule({ cache: 'strict' })(() => true)],
  ] as const)('a rule that throws denies: %s', async (_, found) => {
    events.length = 0
    const answer = await ask(busiest, { permissions: withRule('Query.busiestUsers', found) })
    expect(answer).toContain('Query.busiestUsers is refused by its rule.')
    expect(answer).not.toContain('canary')
    expect(events).toMatchObject([{ kind: 'request.failed', requestId: 'r-1', tenant: 'acme' }])
  })

  it('says why when its rule does', async () => {
    const permissions = withRule('Query.busiestUsers', answering(new Error('only on Mondays')))
    expect(await ask(busiest, { permissions })).toBe(
      'Query.busiestUsers is refused by its rule: only on Mondays.',
    )
  })

  it('runs once an operation, however many fields ask for it, and once more for the next', async () => {
    let runs = 0
    const counting = rule({ cache: 'contextual' })(() => {
      runs += 1
      return true
    })
    const permissions = make(withGrants(defaults, { 'User.*': counting, 'Query.busiestUsers': counting }))
    await ask('{ busiestUsers { id name salary boss { id name } } users { id } }', { permissions })
    expect(runs).toBe(1)
    await ask(busiest, { permissions })
    expect(runs).toBe(2)
  })

  it('sees the context and the operation', async () => {
    const looking = rule()((_, args, context, info) => {
      return (
        context.scope.identity.tenant === 'acme' &&
        Object.keys(args).length === 0 &&
        info.fieldName === 'busiestUsers'
      )
    })
    expect(await ask(busiest, { permissions: withRule('Query.busiestUsers', looking) })).toBe('allowed')
  })

  it.each([
    ['a type that is not there', { 'Qery.users': 'member' as Role }],
    ['a field that is not there', { 'Query.busyUsers': 'member' as Role }],
    ['a name of every object', { 'Query.constructor': 'member' as Role }],
    ['no field', { Query: 'member' as Role }],
    ['the operator', { 'Query.busiestUsers': 'operator' as Role }],
    ['a role that does not exist', { 'Query.busiestUsers': 'owner' as Role }],
  ])('refuses to start with a permission for %s', (_, grants) => {
    expect(() => make(withGrants(defaults, grants))).toThrow(GatewayError)
  })
})

describe('the plugin', () => {
  it('judges nobody by the rules of another schema', async () => {
    const hook = permissionsPlugin(() => make()).onExecute as unknown as (payload: object) => Promise<void>
    const args = { document: parse('{ users { id } }'), contextValue: contextOf(['viewer']) }
    expect(() => hook({ args: { ...args, schema: buildSchema('type Query { users: Int }') } })).toThrow(
      'schema',
    )
    await hook({ args: { ...args, schema } })
  })

  it('stands before subscriptions too', async () => {
    const hook = permissionsPlugin(() => make()).onSubscribe as unknown as (payload: object) => Promise<void>
    const document = parse('subscription { userChanged { id } }')
    await expect(hook({ args: { document, schema, contextValue: contextOf(['admin']) } })).rejects.toThrow(
      'open to nobody',
    )
  })
})
