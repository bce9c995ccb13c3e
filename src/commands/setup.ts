/** `shardgate setup`: make the directory and the shards out of the databases of the configuration. */

import { type Command, Option } from 'commander'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { renewHomes } from '../control/homes/renew.ts'
import { type Installation, install, type ShardInstall } from '../control/install.ts'
import { installQueue } from '../control/jobs/install.ts'
import { readMigrations } from '../control/migrate/files.ts'
import { migrateFleet } from '../control/migrate/up.ts'
import type { RolePasswords } from '../control/roles.ts'
import { asAdmin } from './admin.ts'
import { configOf, fleetOf, type MakeContext, ownerUrlOf, weightOf } from './context.ts'
import { table } from './print.ts'
import { doorOf } from './rows-door.ts'

interface SetupOptions {
  readonly migrations?: string
  readonly ownTables?: true
  readonly adminUser?: string
  readonly adminPassword?: string
}

interface ShardSetup {
  readonly shard: string
  readonly applied: readonly string[]
  readonly already: number
}

export function addSetupCommand(program: Command, contextOf: MakeContext): void {
  program
    .command('setup')
    .description(
      'Make the directory and the shards ready: roles, schemas, identities, buckets. Safe to repeat; ' +
        'takes nothing away. The databases must exist.',
    )
    .option('--migrations <folder>', 'then apply this folder of migrations to each shard')
    .option('--own-tables', 'make shardgate_owner the owner of the tables with the tenant column')
    .addOption(
      new Option(
        '--admin-user <name>',
        'superuser of the shards, or a role with CREATEROLE, to make the roles',
      ).env('SHARDGATE_ADMIN_USER'),
    )
    .addOption(
      new Option('--admin-password <password>', 'its password; better in the environment').env(
        'SHARDGATE_ADMIN_PASSWORD',
      ),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate setup --migrations ./migrations\n  SHARDGATE_ADMIN_PASSWORD=… shardgate setup --admin-user postgres',
    )
    .action(async (options: SetupOptions, command: Command) => {
      const context = contextOf(command)
      const config = configOf(context)
      const report = (sentence: string): void => context.terminal.err(`${sentence}\n`)
      await install({ ...installationOf(config, options), report })
      await installQueue(config.directory.url)
      const homes = await renewHomes(fleetOf(config))
      if (homes > 0) report(`${homes} databases of tenants are ready.`)
      context.print(await migrateAll(config, options.migrations), setupText)
    })
}

/** Roles come from the two URLs of a shard, so that what is made is what will log in. */
function installationOf(config: Config, options: SetupOptions): Installation {
  const shards = Object.entries(config.shards).map(([key, shard]): ShardInstall => {
    const ownerUrl = ownerUrlOf(key, shard)
    const passwords: RolePasswords = {
      ...passwordOf('app', `shards.${key}.url`, shard.url),
      ...(options.adminUser === undefined ? {} : passwordOf('owner', `shards.${key}.ownerUrl`, ownerUrl)),
      ...(shard.moverUrl === undefined ? {} : passwordOf('mover', `shards.${key}.moverUrl`, shard.moverUrl)),
    }
    return { key, weight: weightOf(shard), url: asAdmin(ownerUrl, options), passwords }
  })
  return {
    directoryUrl: config.directory.url,
    buckets: config.router.buckets,
    schemas: config.tenancy.schemas,
    column: config.tenancy.column,
    global: config.tenancy.global,
    ownTables: options.ownTables ?? false,
    shards,
  }
}

function passwordOf(role: keyof RolePasswords, key: string, url: string): RolePasswords {
  const { username, password } = new URL(url)
  if (username !== `shardgate_${role}`) {
    fail('CONFIG_INVALID', `${key}: wanted the role shardgate_${role}; "${username}" came.`)
  }
  return password === '' ? {} : { [role]: decodeURIComponent(password) }
}

async function migrateAll(config: Config, folder: string | undefined): Promise<ShardSetup[]> {
  const shards = Object.keys(config.shards)
  if (folder === undefined) return shards.map((shard) => ({ shard, applied: [], already: 0 }))
  const files = readMigrations(folder)
  const { results, held } = await migrateFleet(
    { ...fleetOf(config), migrations: folder },
    { takeTurns: true, door: doorOf(config) },
  )
  const failed = results.find(({ error }) => error !== null)
  if (failed) fail('SETUP_FAILED', `${failed.target}: ${failed.error}`)
  return shards.map((shard) => {
    const shared = results.find((one) => one.shard === shard && one.isolation === 'shared')
    const applied = shared?.applied ?? []
    return { shard, applied, already: files.length - applied.length - held.length }
  })
}

function setupText(done: readonly ShardSetup[], colour: boolean): string {
  return table(
    done,
    [
      { title: 'shard', cell: ({ shard }) => shard },
      { title: 'migrations applied', cell: ({ applied }) => applied.length },
      { title: 'applied before', cell: ({ already }) => already },
    ],
    colour,
  )
}
