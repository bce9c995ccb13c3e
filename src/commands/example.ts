/** The example that `start` serves: its migrations and its seeder, found beside the program. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fail } from '../base/errors.ts'
import type { Client } from '../db/client.ts'
import type { Isolation, TenantSettings } from '../directory/types.ts'

export interface ExampleTenant {
  readonly id: string
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly isolation: Isolation
  readonly settings: TenantSettings
}

export interface Example {
  readonly migrations: string
  planTenants(options: { scale?: number }): readonly ExampleTenant[]
  /** Writes all rows of a tenant that has none; returns how many it wrote. */
  seedTenant(
    client: Client,
    tenant: ExampleTenant,
    target: { schema: string; scale?: number },
  ): Promise<number>
}

/** @throws SETUP_FAILED  the example is not beside this program */
export async function loadExample(): Promise<Example> {
  const folder = join(import.meta.dirname, '../../examples/helpdesk')
  const seeder = join(folder, 'seed.ts')
  if (!existsSync(seeder)) {
    fail('SETUP_FAILED', `The example is not in ${folder}. Clone the repository, or use "shardgate serve".`)
  }
  const { planTenants, seedTenant } = (await import(pathToFileURL(seeder).href)) as Omit<
    Example,
    'migrations'
  >
  return { migrations: join(folder, 'migrations'), planTenants, seedTenant }
}
