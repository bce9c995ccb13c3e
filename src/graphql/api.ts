/** The API of a model: its schema with what extensions add, and who may use which field. */

import type { Emit } from '../base/events.ts'
import type { Model } from '../model/types.ts'
import { withAggregateRules } from './aggregates/rules.ts'
import type { Extension } from './extension.ts'
import { mutationFields } from './mutations.ts'
import type { PageSizes } from './pages.ts'
import { subjectsOf } from './permissions/asked-columns.ts'
import { createPermissions, type Permissions } from './permissions/permissions.ts'
import { defaultRules, withGrants } from './permissions/rules.ts'
import { queryFields } from './queries.ts'
import { buildSchema } from './schema.ts'

/**
 * @param sizes  read at each request, so that a reloaded configuration counts at once
 * @throws CONFIG_INVALID  an extension asks for what the tables do not have, or permits what does not exist
 */
export function buildApi(
  model: Model,
  sizes: () => PageSizes,
  extensions: readonly Extension[],
  emit: Emit,
): Permissions {
  const schema = buildSchema(model, sizes, extensions)
  // Only the fields that tables give have a rule of their own; what an extension adds is denied until it
  // says who may use it.
  const own = defaultRules({ queries: queryFields(model), mutations: mutationFields(model) })
  const account = withGrants(own, { 'CurrentTenant.usage': 'admin' })
  const rules = extensions.reduce((tree, { permissions = {} }) => withGrants(tree, permissions), account)
  const tree = withAggregateRules(rules, schema, model.tables)
  return createPermissions(schema, tree, emit, subjectsOf(model.tables))
}
