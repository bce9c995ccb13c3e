/** A target as migrations see it: in which schema its tables are made, and who may use them. */

import { tenantRole } from '../../directory/namespaces.ts'
import { type Target, targetName } from '../../directory/targets.ts'
import type { Tenancy } from '../../model/served.ts'

/** The role that gateways log in with. */
export const APP_ROLE = 'shardgate_app'

export interface Place {
  /** For sentences: 'acme (schema on shard-a)'. */
  readonly name: string
  /** Its isolation model. */
  readonly isolation: Target['isolation']
  /** Schema in which unqualified names are made. */
  readonly schema: string
  /** The first of `tenancy.schemas`: the name that files know that schema by. */
  readonly sharedSchema: string
  /** All schemas of it that are served. */
  readonly schemas: readonly string[]
  /** Its name in the book of its database. */
  readonly book: string
  /** The role whose rights its tables are served with. */
  readonly appRole: string
}

export function placeOf(
  target: Pick<Target, 'shard' | 'shardId' | 'isolation' | 'namespace' | 'tenant'>,
  { schemas }: Pick<Tenancy, 'schemas'>,
): Place {
  const sharedSchema = schemas[0] ?? 'public'
  const { isolation, namespace, tenant, shardId } = target
  const name = targetName(target)
  if (isolation !== 'schema' || tenant === null)
    return { name, isolation, schema: sharedSchema, sharedSchema, schemas, book: '', appRole: APP_ROLE }
  const appRole = tenantRole(shardId, tenant)
  return { name, isolation, schema: namespace, sharedSchema, schemas: [namespace], book: namespace, appRole }
}
