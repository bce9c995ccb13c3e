/** The databases that everything generated is tried on: as they are found, and once more when they are served. */

import type { Tenancy } from '../../../src/model/introspect.ts'
import { seededRandom } from '../random.ts'
import { type ForeignWorld, makeForeignWorld } from './foreign-world.ts'
import { fillHelpdesk } from './helpdesk-rows.ts'
import { fillLogto, makeLogto } from './logto.ts'
import { fillNasty, makeNasty, NASTY_SCHEMAS } from './nasty.ts'
import { STYLES, type Style } from './style.ts'

const OWNER = 'fixture_owner'

/** Three tenants, so that one shard has two. */
const TENANTS: Readonly<Record<Style['tenantType'] | 'text', readonly string[]>> = {
  uuid: [
    '10c0ffee-0000-4000-8000-0000000000a1',
    '10c0ffee-0000-4000-8000-0000000000b2',
    '10c0ffee-0000-4000-8000-0000000000c3',
  ],
  int: ['101', '102', '2147483647'],
  text: ['acme', 'globex', 'initech'],
}

/** Tables without the tenant column that every tenant may read. */
const GLOBAL = ['shapes.countries', 'shapes.currencies']

/** The nasty fixture as it is found. @param tenancy  keys to have otherwise */
export function nastyWorld(
  tenantType: Style['tenantType'],
  tenancy: Partial<Tenancy> = {},
): Promise<ForeignWorld> {
  const style = STYLES[tenantType]
  return makeForeignWorld({
    owner: OWNER,
    tenancy: { column: style.tenantColumn, schemas: NASTY_SCHEMAS, global: GLOBAL, ...tenancy },
    tenants: TENANTS[tenantType],
    make: (client) => makeNasty(client, style, OWNER, seededRandom(1)),
    furnish: (client, tenants) => fillNasty(client, style, tenants, 4),
  })
}

/** The tables of Logto. @param folder  of its package */
export function logtoWorld(folder: string): Promise<ForeignWorld> {
  return makeForeignWorld({
    owner: 'logto_owner',
    tenancy: { column: 'tenant_id', schemas: ['public'] },
    tenants: TENANTS.text,
    make: (client) => makeLogto(client, folder, 'logto_owner'),
    furnish: fillLogto,
  })
}

/** The help desk, with rows that carry tags; its tables are made by `setUp`. */
export function helpdeskWorld(): Promise<ForeignWorld> {
  return makeForeignWorld({
    owner: 'shardgate_owner',
    tenancy: { column: 'tenant_id', schemas: ['helpdesk'] },
    tenants: TENANTS.text,
    migrations: 'examples/helpdesk/migrations',
    furnish: (client, tenants) => fillHelpdesk(client, tenants, 4),
  })
}
