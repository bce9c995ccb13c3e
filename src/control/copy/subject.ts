/** The tenant that is copied: what the directory knows of it, and how its home is reached. */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { accessTo } from '../homes/reach-home.ts'
import { onPlace, requireSubject, type Subject } from '../life/subject.ts'
import { DEFAULT_TENANCY, type Fleet } from '../reach.ts'
import type { TenantFacts } from './manifest.ts'
import type { Whereabouts } from './snapshot.ts'
import type { CopyTenancy } from './tables.ts'

export interface CopySubject {
  readonly subject: Subject
  readonly about: TenantFacts
  readonly where: Whereabouts
}

export function tenancyOf({ tenancy = DEFAULT_TENANCY }: Fleet): CopyTenancy {
  return {
    column: tenancy.column,
    schemas: tenancy.schemas,
    ...('global' in tenancy && { global: tenancy.global ?? [] }),
  }
}

/**
 * A tenant whose rows can be read: in any state but that of being made or purged.
 *
 * @throws TENANT_UNKNOWN  there is none
 * @throws REFUSED         it is being made or purged
 * @throws SHARD_UNSAFE    its shard is not the database that the directory knows
 */
export async function copySubject(
  fleet: Fleet,
  directory: Queryable,
  tenant: TenantId,
): Promise<CopySubject> {
  const subject = await requireSubject(directory, tenant)
  if (subject.state === 'creating' || subject.state === 'purging') {
    fail('REFUSED', `${tenant} is ${subject.state === 'creating' ? 'not made yet' : 'being purged'}.`, {
      tenant,
    })
  }
  await onPlace(fleet, directory, subject, async () => {})
  const [row] = await directory.query(
    compile(sql`
      select json_build_object('name', name, 'subdomain', subdomain, 'plan', plan, 'state', state, 'settings', settings)
        as about
      from directory.tenant where id = ${sql.value(tenant)}`),
  )
  const { isolation, namespace } = subject
  const shard = accessTo(fleet, subject.shard)
  return {
    subject,
    about: JSON.parse(row?.about ?? '{}') as TenantFacts,
    where: { tenant, shard, home: { isolation, namespace }, tenancy: tenancyOf(fleet) },
  }
}
