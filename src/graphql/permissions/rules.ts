/**
 * Rules: which role a field asks for.
 *
 * A rule tree has the shape of graphql-shield's: type → field → rule, with '*' for the other fields of
 * a type. What it does not name follows the fallback: a field of Query, Mutation or Subscription is
 * denied, a field of a row type is allowed, because rows are kept apart in the shard, not here.
 */

import { type GraphQLSchema, isInterfaceType, isObjectType } from 'graphql'
import { fail } from '../../base/errors.ts'
import type { Identity, Role } from '../../tenant/types.ts'
import { allow, deny, rule, type ShieldRule } from './shield.ts'

/** Roles of tenants, weakest first. `operator` is none of them: it opens the admin port, no rows. */
export const TENANT_ROLES = Object.freeze(['viewer', 'member', 'admin'] as const)
export type TenantRole = (typeof TENANT_ROLES)[number]

export type RuleTree = Readonly<Record<string, Readonly<Record<string, ShieldRule>>>>

/** The least role, or a rule of graphql-shield, which sees the context and no arguments. */
export type Grant = Role | ShieldRule

// -1 for `operator`, which is below all of them.
const rank = (role: Role): number => (TENANT_ROLES as readonly Role[]).indexOf(role)

/** Whether one of the roles of `identity` is `wanted` or more. */
export function hasRole(identity: Identity | undefined, wanted: TenantRole): boolean {
  return identity?.roles.some((role) => rank(role) >= rank(wanted)) ?? false
}

// What rules may count on; the request's context has it (context.ts).
interface RuleContext {
  readonly scope?: { readonly identity?: Identity }
}

const ROLE_RULES: Readonly<Record<TenantRole, ShieldRule>> = Object.freeze({
  viewer: roleRule('viewer'),
  member: roleRule('member'),
  admin: roleRule('admin'),
})

function roleRule(role: TenantRole): ShieldRule {
  return rule(role)((_parent, _args, context: RuleContext) => hasRole(context.scope?.identity, role))
}

/** The role that a rule of ours stands for. */
export function roleOf(found: ShieldRule): TenantRole | undefined {
  return TENANT_ROLES.find((role) => ROLE_RULES[role] === found)
}

export interface RootFields {
  readonly queries: Iterable<string>
  readonly mutations: Iterable<string>
}

/**
 * The rules of the fields that come from tables: queries for viewers, `create*`, `update*` and
 * `upsert*` for members, `delete*` for admins. A mutation of another name gets no rule and is denied.
 */
export function defaultRules({ queries, mutations }: RootFields): RuleTree {
  const ofMutation = (field: string): ShieldRule => {
    if (/^(create|update|upsert)[A-Z]/.test(field)) return ROLE_RULES.member
    return /^delete[A-Z]/.test(field) ? ROLE_RULES.admin : deny
  }
  return {
    Query: Object.fromEntries([...queries].map((field) => [field, ROLE_RULES.viewer])),
    Mutation: Object.fromEntries([...mutations].map((field) => [field, ofMutation(field)])),
  }
}

/**
 * `tree` with the rules that an extension gives: 'Query.busiestUsers' → 'member'.
 *
 * @throws CONFIG_INVALID  a key that is not 'Type.field', or `operator`, which is no role of a tenant
 */
export function withGrants(tree: RuleTree, grants: Readonly<Record<string, Grant>>): RuleTree {
  const merged: Record<string, Record<string, ShieldRule>> = {}
  for (const [type, fields] of Object.entries(tree)) merged[type] = { ...fields }
  for (const [key, grant] of Object.entries(grants)) {
    const [, type = '', field = ''] = /^(\w+)\.(\w+|\*)$/.exec(key) ?? []
    if (!type) fail('CONFIG_INVALID', `A permission is given for "${key}"; wanted "Type.field".`)
    merged[type] = { ...merged[type], [field]: ruleOfGrant(key, grant) }
  }
  return merged
}

function ruleOfGrant(key: string, grant: Grant): ShieldRule {
  if (typeof grant !== 'string') return grant
  const role = TENANT_ROLES.find((known) => known === grant)
  if (role) return ROLE_RULES[role]
  return fail(
    'CONFIG_INVALID',
    `The permission of "${key}" wants the role "${grant}"; wanted ${TENANT_ROLES.join(', ')} or a rule.`,
  )
}

/** Finds the rule of a field of an object type. */
export type FindRule = (type: string, field: string) => ShieldRule

/**
 * @throws CONFIG_INVALID  the tree names a type or field that the schema does not have: a rule with a
 *                         slip of the pen would leave its field to the fallback
 */
export function ruleFinder(schema: GraphQLSchema, tree: RuleTree): FindRule {
  const rules = new Map<string, ShieldRule>()
  for (const [type, fields] of Object.entries(tree)) {
    for (const [field, found] of Object.entries(fields)) {
      requireField(schema, type, field)
      rules.set(`${type}.${field}`, found)
    }
  }
  const roots = new Set(
    [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].map((type) => type?.name),
  )
  return (type, field) =>
    rules.get(`${type}.${field}`) ?? rules.get(`${type}.*`) ?? (roots.has(type) ? deny : allow)
}

function requireField(schema: GraphQLSchema, typeName: string, field: string): void {
  const type = schema.getType(typeName)
  const fields = isObjectType(type) || isInterfaceType(type) ? type.getFields() : undefined
  if (fields && (field === '*' || Object.hasOwn(fields, field))) return
  fail('CONFIG_INVALID', `A permission is given for "${typeName}.${field}"; the schema has no such field.`)
}
