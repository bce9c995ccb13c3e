/**
 * Permissions: decided once per operation, before anything runs.
 *
 *     document ─▶ the fields it may touch ─▶ their rules, each once ─▶ all true, or FORBIDDEN
 *
 * graphql-shield would have every resolver wrapped, which costs up to a millisecond for a nested
 * request; the schema that executes here is never wrapped. A denial refuses the whole operation: half
 * an answer would tell what the other half is. What an operation needs is remembered with its
 * document, unless @skip or @include make it depend on variables.
 */

import {
  type DocumentNode,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getOperationAST,
  isAbstractType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { fail } from '../../base/errors.ts'
import type { Emit } from '../../base/events.ts'
import type { Identity } from '../../tenant/types.ts'
import type { GatewayContext } from '../context.ts'
import { askedColumns, type Coordinate, type InputVariable, type Subjects } from './asked-columns.ts'
import { type FindRule, hasRole, type RuleTree, roleOf, ruleFinder, type TenantRole } from './rules.ts'
import { allow, deny, type ResolveOptions, type ShieldRule } from './shield.ts'
import { touchedFields, type Variables } from './touched-fields.ts'

export interface RequiredRule {
  readonly rule: ShieldRule
  /** Where that is all that the rule asks for. */
  readonly role: TenantRole | undefined
  /** Fields that ask for it, in the order of the document. */
  readonly fields: readonly Coordinate[]
}

export interface Operation {
  readonly document: DocumentNode
  readonly operationName?: string | null | undefined
  readonly variableValues?: Variables | null | undefined
  readonly contextValue: GatewayContext
}

export interface Permissions {
  /** The schema that they were made for. */
  readonly schema: GraphQLSchema
  /** The distinct rules of what an operation touches; an allowed field asks for none. */
  requiredRules(
    document: DocumentNode,
    operationName: string | null | undefined,
    variables: Variables,
  ): readonly RequiredRule[]
  /**
   * What the roles of `identity` decide at once: true, false, or null where a rule has to be run.
   */
  allows(
    document: DocumentNode,
    operationName: string | null | undefined,
    variables: Variables,
    identity: Identity,
  ): boolean | null
  /** @throws FORBIDDEN  a rule denies, or throws; the sentence names the fields */
  decide(operation: Operation): Promise<void>
}

/**
 * Permissions of a schema.
 *
 * @param emit      told of a rule that throws, as `request.failed`
 * @param subjects  which input types speak of which columns; the rule of a column holds for them too
 * @throws CONFIG_INVALID  the tree names what the schema does not have
 */
export function createPermissions(
  schema: GraphQLSchema,
  tree: RuleTree,
  emit: Emit,
  subjects: Subjects = new Map(),
): Permissions {
  const findRule = ruleFinder(schema, tree)
  const remembered = new WeakMap<OperationDefinitionNode, Remembered>()

  const requiredRules: Permissions['requiredRules'] = (document, operationName, variables) => {
    const operation = operationOf(document, operationName)
    const known = remembered.get(operation)
    if (known) return withInputs(known, variables)
    // Validation lets such an operation pass, and without a root type it touches nothing.
    if (!schema.getRootType(operation.operation)) {
      fail('GRAPHQL_VALIDATION_FAILED', `The schema has no ${operation.operation} type.`)
    }
    const touched = touchedFields(schema, document, operation, variables, subjects)
    const fields = [...touched.fields.values()]
    const fresh = { fields, inputs: touched.inputs, required: collectRules(fields, findRule) }
    if (!touched.conditional) remembered.set(operation, fresh)
    return withInputs(fresh, variables)
  }

  function withInputs({ fields, inputs, required }: Remembered, variables: Variables) {
    if (inputs.length === 0) return required
    const asked = askedColumns(schema, subjects, inputs, variables)
    const guarded = asked.filter(({ type, field }) => findRule(type, field) !== allow)
    return guarded.length === 0 ? required : collectRules([...fields, ...guarded], findRule)
  }

  const allows: Permissions['allows'] = (document, operationName, variables, identity) => {
    const required = requiredRules(document, operationName, variables)
    if (required.some(({ role }) => role === undefined)) return null
    return required.every(({ role }) => role && hasRole(identity, role))
  }

  const decide = async (operation: Operation): Promise<void> => {
    const { document, operationName, contextValue } = operation
    const required = requiredRules(document, operationName, operation.variableValues ?? {})
    if (required.length === 0) return
    const info = infoFactory(schema, operation)
    // One context for all rules of the operation, so that shield's 'contextual' cache serves them.
    const context = { ...contextValue, _shield: { cache: {} } }
    for (const { rule, fields } of required) {
      const answer = await evaluate(rule, context, info(fields))
      if (answer instanceof RuleFault) reportFault(answer, contextValue, emit)
      if (answer !== true) refuse(rule, fields, contextValue, answer)
    }
  }
  return { schema, requiredRules, allows, decide }
}

/** Yoga's place for `decide`: before execution and before a subscription starts. */
export function permissionsPlugin<C extends object>(
  permissionsOf: (context: C) => Permissions,
): Plugin<GatewayContext & C> {
  type Args = Operation & { readonly schema: GraphQLSchema; readonly contextValue: GatewayContext & C }
  const decide = ({ args }: { args: Args }): Promise<void> => {
    const permissions = permissionsOf(args.contextValue)
    // Tenants have different tables: nobody may be judged by the rules of another schema.
    if (permissions.schema !== args.schema) fail('OVERLOADED', 'The schema has just changed; ask again.')
    return permissions.decide(args)
  }
  return { onExecute: decide, onSubscribe: decide }
}

interface Remembered {
  readonly fields: readonly Coordinate[]
  readonly inputs: readonly InputVariable[]
  /** Of the fields alone. */
  readonly required: readonly RequiredRule[]
}

function operationOf(document: DocumentNode, name: string | null | undefined): OperationDefinitionNode {
  const operation = getOperationAST(document, name)
  if (operation) return operation
  const wanted = name ? `named "${name.slice(0, 60)}"` : 'that "operationName" would choose'
  return fail('BAD_REQUEST', `The document holds no one operation ${wanted}.`)
}

function collectRules(touched: Iterable<Coordinate>, findRule: FindRule): readonly RequiredRule[] {
  const byRule = new Map<ShieldRule, Coordinate[]>()
  for (const coordinate of touched) {
    const rule = findRule(coordinate.type, coordinate.field)
    if (rule === allow) continue
    byRule.set(rule, [...(byRule.get(rule) ?? []), coordinate])
  }
  return [...byRule].map(([rule, fields]) => ({ rule, role: roleOf(rule), fields }))
}

class RuleFault {
  readonly error: unknown
  constructor(error: unknown) {
    this.error = error
  }
}

type Answer = Awaited<ReturnType<ShieldRule['resolve']>> | RuleFault

// With `debug` a rule that throws throws through. Without it shield turns the throw into false, and
// `not(rule)` turns that into true: a fault would open the field.
const OPTIONS: ResolveOptions = Object.freeze({
  debug: true,
  allowExternalErrors: true,
  fallbackRule: deny,
  hashFunction: () => fail('INTERNAL_SERVER_ERROR', "A rule is cached as 'strict'; use 'contextual'."),
})

async function evaluate(
  rule: ShieldRule,
  context: Parameters<ShieldRule['resolve']>[2],
  info: GraphQLResolveInfo,
): Promise<Answer> {
  try {
    return await rule.resolve({}, {}, context, info, OPTIONS)
  } catch (error) {
    return new RuleFault(error)
  }
}

function reportFault({ error }: RuleFault, { scope }: GatewayContext, emit: Emit): void {
  emit({ kind: 'request.failed', requestId: scope.requestId, tenant: scope.identity.tenant, error })
}

function refuse(
  rule: ShieldRule,
  fields: readonly Coordinate[],
  { scope }: GatewayContext,
  answer: Answer,
): never {
  const names = fields.map(({ type, field }) => `${type}.${field}`)
  const named = names.slice(0, 5).join(', ') + (names.length > 5 ? ' and others' : '')
  const came = scope.identity.roles.join(', ') || 'none'
  const wanted = roleOf(rule)
  if (wanted) {
    const sentence = `${named} needs the role ${wanted}; the token's roles: ${came}.`
    return fail('FORBIDDEN', sentence, { fields: named, wanted, came })
  }
  // A rule of the user's may say why; nothing else that it returns goes out.
  const why = answer instanceof Error ? `: ${answer.message}` : ''
  const sentence = rule === deny ? `${named} is open to nobody` : `${named} is refused by its rule${why}`
  return fail('FORBIDDEN', `${sentence}.`, { fields: named })
}

/** A complete `info` for rules that look at it: of the first field that asks for the rule. */
function infoFactory(schema: GraphQLSchema, operation: Operation) {
  const node = operationOf(operation.document, operation.operationName)
  const fragments: GraphQLResolveInfo['fragments'] = Object.create(null)
  for (const definition of operation.document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments[definition.name.value] = definition
  }
  return ([coordinate]: readonly Coordinate[]): GraphQLResolveInfo => {
    const parentType = objectTypeOf(schema, coordinate?.type ?? '')
    const field = parentType?.getFields()[coordinate?.field ?? '']
    if (!parentType || !field) {
      return fail('INTERNAL_SERVER_ERROR', 'A rule is asked for by a type that no object can have.')
    }
    return {
      schema,
      fragments,
      operation: node,
      parentType,
      fieldName: field.name,
      fieldNodes: [],
      returnType: field.type,
      path: { prev: undefined, key: field.name, typename: parentType.name },
      rootValue: undefined,
      variableValues: { ...operation.variableValues },
    }
  }
}

/** The type itself, or for an interface the first type behind it. */
function objectTypeOf(schema: GraphQLSchema, name: string): GraphQLObjectType | undefined {
  const type = schema.getType(name)
  if (isObjectType(type)) return type
  return isAbstractType(type) ? schema.getPossibleTypes(type)[0] : undefined
}
