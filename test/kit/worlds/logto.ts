/**
 * A schema that somebody else wrote: the tables of Logto, an identity product for many tenants, as its npm
 * package ships them (MPL-2.0, so it is fetched when a test wants it and never kept in the repository).
 *
 *     npm pack ─▶ node_modules/.cache ─▶ tables/*.sql in their order ─▶ each with its policies and triggers
 *
 * 80 tables with `tenant_id varchar(21)`, keys that know no tenant, row-level security by the name of the
 * database user, checks that look rows up in other tables, triggers that delete elsewhere.
 */

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Client } from '../../../src/db/client.ts'
import type { Canary } from '../canary.ts'
import { fill } from './fill.ts'
import { literal, type Overrides, type Seat, textValue } from './fill-values.ts'

const PACKAGE = '@logto/schemas@1.43.0'
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/shardgate-test/', import.meta.url))
const FOLDER = `${CACHE}logto-schemas-1.43.0`

/** The folder of the package; undefined when it is neither here nor to be had. */
export async function fetchLogto(): Promise<string | undefined> {
  if (existsSync(FOLDER)) return FOLDER
  const work = `${FOLDER}.${process.pid}`
  mkdirSync(work, { recursive: true })
  const run = promisify(execFile)
  try {
    const packed = await run('npm', ['pack', PACKAGE, '--silent', '--pack-destination', work], {
      timeout: 60_000,
    })
    await run('tar', ['xzf', `${work}/${packed.stdout.trim()}`, '-C', work])
    if (!existsSync(FOLDER)) renameSync(`${work}/package`, FOLDER)
    return FOLDER
  } catch (error) {
    process.stderr.write(`${PACKAGE} cannot be fetched: ${String(error).split('\n')[0]}\n`)
    return undefined
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Make the tables in the schema `public`, as `owner`. @param client  a superuser */
export async function makeLogto(client: Client, folder: string, owner: string): Promise<void> {
  await client.query(`do $$ begin create role logto_tenant_logto noinherit;
    exception when duplicate_object or unique_violation then null; end $$`)
  await client.query(`grant usage, create on schema public to ${owner}; set role ${owner}`)
  await client.query(`set search_path = public; ${tenantsTable(folder)}`)
  for (const statements of tableFiles(folder)) await client.query(statements)
  await client.query(`${lifecycle(folder, '_after_all')}; reset role; reset search_path`)
}

// The one table that is not in a file of its own but in the code.
function tenantsTable(folder: string): string {
  const source = readFileSync(`${folder}/lib/models/tenants.js`, 'utf8')
  const [, statement = ''] = /(create table tenants[\s\S]*?\);)/.exec(source) ?? []
  return statement.replace(/\$\{TenantTag\.\w+\}/, 'development')
}

function lifecycle(folder: string, name: string): string {
  return readFileSync(`${folder}/tables/${name}.sql`, 'utf8').replaceAll('${database}', 'logto')
}

/** The statements of each table with what belongs to it, in the order that the files ask for. */
function tableFiles(folder: string): string[] {
  const after = lifecycle(folder, '_after_each')
  const names = readdirSync(`${folder}/tables`).filter((name) => /^(?!_(after|before))/.test(name))
  const files = names.sort().map((name) => {
    const text = readFileSync(`${folder}/tables/${name}`, 'utf8')
    const order = Number(/init_order = ([\d.]+)/.exec(text)?.[1] ?? 100)
    const more = /no_after_each/.test(text) ? '' : after.replaceAll('${name}', name.replace('.sql', ''))
    return { order, texts: [text, more] }
  })
  return files.sort((a, b) => a.order - b.order).flatMap(({ texts }) => texts)
}

/** Rows of each tenant in each table. */
const ROWS = 3

// Checks look the other row up and want a role of users, a role of machines or an application of a kind.
// So the first role is of users and the second of machines; the third application speaks SAML.
const pointsTo = (label: string, n: number) => (seat: Seat) => textValue({ ...seat, label, n }, 21)
const application = (n: number) => pointsTo('applications-id', n)
const role = (n: number) => pointsTo('roles-id', n)
const organizationRole = (n: number) => pointsTo('organization_roles-id', n)
const kindOfRole = ({ n }: Seat): string => literal(n === 2 ? 'MachineToMachine' : 'User')

const OVERRIDES: Overrides = {
  'public.roles.type': kindOfRole,
  'public.organization_roles.type': kindOfRole,
  'public.applications.type': ({ n }) => literal(n === 3 ? 'SAML' : 'MachineToMachine'),
  'public.oidc_model_instances.model_name': () => literal('Grant'),
  'public.users_roles.role_id': role(1),
  'public.applications_roles.role_id': role(2),
  'public.application_access_control_user_role_relations.role_id': role(1),
  'public.application_access_control_org_role_relations.organization_role_id': organizationRole(1),
  'public.organization_role_user_relations.organization_role_id': organizationRole(1),
  'public.organization_role_application_relations.organization_role_id': organizationRole(2),
  'public.organization_role_application_relations.application_id': application(1),
  'public.organization_application_relations.application_id': application(1),
  'public.application_secrets.application_id': application(1),
  'public.saml_application_configs.application_id': application(3),
  'public.saml_application_secrets.application_id': application(3),
  'public.saml_application_sessions.application_id': application(3),
  'public.sso_connector_idp_initiated_auth_configs.default_application_id': application(3),
}

/** Give every tenant its rows. @param client  a superuser */
export async function fillLogto(client: Client, tenants: readonly Canary[]): Promise<void> {
  for (const { tenant, text } of tenants) {
    await client.query({
      text: 'insert into public.tenants (id, db_user, name) values ($1, $2, $3)',
      values: [tenant, `user-of-${tenant}`, text('tenant')],
    })
  }
  await fill(client, {
    tenantColumn: 'tenant_id',
    schemas: ['public'],
    tenants,
    rows: ROWS,
    rowsOf: {
      'public.captcha_providers': 1,
      'public.saml_application_configs': 1,
      'public.organization_application_relations': 1,
      'public.organization_role_application_relations': 1,
    },
    overrides: OVERRIDES,
  })
  await client.query('analyze')
}
