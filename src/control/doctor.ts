/**
 * Looking at everything that could make routing or isolation go wrong, and saying what to type.
 *
 * It changes nothing, and a part that is down does not end the examination of the others.
 */

import type { TableSettings } from '../base/config.ts'
import { isGatewayError } from '../base/errors.ts'
import { type Client, connect } from '../db/client.ts'
import { connectionHint } from '../db/connection-hint.ts'
import { TENANT_SCHEMAS } from '../directory/namespaces.ts'
import { type KnownShard, listShards, readSettings } from '../directory/shards.ts'
import { type ListStatistic, readStatistics } from '../directory/statistics.ts'
import { listTenants, type TenantRecord } from '../directory/tenants.ts'
import { survey } from '../model/introspect.ts'
import { checkSafety } from '../model/safety.ts'
import { advice, type Diagnosis, unsafe } from './diagnosis.ts'
import { homeFindings, operationFindings, revivedFindings } from './doctor-homes.ts'
import { unopenedTables } from './existing-tables.ts'
import { adviseIndexes } from './index-advice.ts'
import { identityOf } from './install.ts'
import { unfinishedOf } from './operations/store.ts'
import { onDirectory, onShard, placeOf, reasonOf, type ShardAccess } from './reach.ts'
import { tenancyHints } from './tenancy-hints.ts'

export interface Patient {
  readonly directoryUrl: string
  readonly buckets: number
  readonly tenancy: {
    readonly column: string
    readonly schemas: readonly string[]
    readonly global?: readonly string[]
    readonly tables?: Readonly<Record<string, TableSettings>>
  }
  readonly shards: readonly {
    readonly key: string
    readonly appUrl: string
    readonly ownerUrl: string
  }[]
}

/** What the directory says, or nothing when it could not be asked. */
interface Records {
  readonly shards: readonly KnownShard[]
  readonly tenants: readonly TenantRecord[]
  /** Of lists; undefined in a directory of an earlier release. */
  readonly statistics: readonly ListStatistic[] | undefined
}

const APP_ROLE = 'shardgate_app'

/** Tenants whose fences are compared, at most. */
const TENANTS_MAX = 100_000

/** Examine the directory and each shard. Does not throw: what cannot be reached is a finding. */
export async function diagnose(patient: Patient): Promise<Diagnosis[]> {
  const { records, findings } = await examineDirectory(patient)
  const shards = patient.shards.map((shard) => examineShard(shard, patient, records))
  const access = patient.shards.map(({ key, ownerUrl }) => ({ key, url: ownerUrl }))
  const revived = records ? revivedFindings({ ...patient, shards: access }) : []
  return [...findings, ...(await revived), ...(await Promise.all(shards)).flat()]
}

async function examineDirectory(patient: Patient): Promise<{ records?: Records; findings: Diagnosis[] }> {
  try {
    return await onDirectory(patient.directoryUrl, async (db) => {
      const [schema] = await db.query(`select to_regclass('directory.setting') is not null as there`)
      if (schema?.there !== 't') return { findings: [notSetUp] }
      const records = {
        shards: await listShards(db),
        tenants: await listTenants(db, TENANTS_MAX),
        statistics: await readStatistics(db),
      }
      const settings = await readSettings(db)
      const findings = [
        ...settingFindings(patient, settings?.buckets, settings?.namespace),
        ...shardListFindings(patient, records.shards),
        ...(await unfinished(db, records.tenants)),
        ...(await operationFindings(db)),
        ...(records.statistics ? [] : [outdated]),
      ]
      return { records, findings }
    })
  } catch (error) {
    return { findings: [unsafe('directory', 'reachable', sentenceOf(error))] }
  }
}

const notSetUp = unsafe('directory', 'set up', 'It has not been set up. Run "shardgate setup".')

const outdated = advice(
  'directory',
  'up to date',
  'It was set up by an earlier release and keeps no statistics of lists. Run "shardgate setup".',
)

function settingFindings({ buckets, tenancy }: Patient, known?: number, namespace?: string): Diagnosis[] {
  const findings: Diagnosis[] = []
  if (known !== buckets) {
    const reason = `router.buckets is ${buckets}, but tenants were placed by ${known ?? 'nothing yet'}.`
    findings.push(unsafe('directory', 'buckets', reason))
  }
  if (namespace !== tenancy.schemas[0]) {
    const reason = `tenancy.schemas begins with "${tenancy.schemas[0]}", but tenants were placed in "${namespace ?? ''}".`
    findings.push(unsafe('directory', 'namespace', reason))
  }
  return findings
}

function shardListFindings(patient: Patient, known: readonly KnownShard[]): Diagnosis[] {
  const configured = new Set(patient.shards.map(({ key }) => key))
  const registered = new Set(known.map(({ key }) => key))
  const lost = known.filter((shard) => !configured.has(shard.key) && shard.tenants + shard.buckets > 0)
  const fresh = [...configured].filter((key) => !registered.has(key))
  return [
    ...lost.map(({ key, tenants, buckets }) =>
      unsafe(
        key,
        'configured',
        `It holds ${tenants} tenants and ${buckets} buckets, but shards.config.json lacks it. Put it back.`,
      ),
    ),
    ...fresh.map((key) =>
      unsafe(key, 'registered', 'The directory does not know it. Run "shardgate setup".'),
    ),
  ]
}

/** Those that no operation makes, as `operationFindings` tells: one that was begun before there were any. */
async function unfinished(db: Client, tenants: readonly TenantRecord[]): Promise<Diagnosis[]> {
  const creating = tenants.filter((tenant) => tenant.state === 'creating').map(({ id }) => id)
  const made = await unfinishedOf(db, creating)
  return creating
    .filter((id) => !made.has(id))
    .map((id) => {
      const reason = `The creation of ${id} was begun and not finished. Run "shardgate tenant create ${id}".`
      return advice('directory', 'unfinished tenant', reason)
    })
}

async function examineShard(
  shard: Patient['shards'][number],
  patient: Patient,
  records: Records | undefined,
): Promise<Diagnosis[]> {
  const { key, ownerUrl } = shard
  try {
    const findings = await onShard({ key, url: ownerUrl }, async (client) => [
      ...(await identityFindings(client, key, records)),
      ...(await homesOn(client, { key, url: ownerUrl }, patient, records)),
      ...(await tenancyHints(client, patient.tenancy)).map((reason) => advice(key, 'tenancy', reason)),
      ...(await unopenedFindings(client, key, patient)),
      ...(await servingFindings(client, key, patient)),
      ...(await checkSafety(client, { ...patient.tenancy, appRole: APP_ROLE })).map(
        // How it is mended under load is `adopt`'s business, and no part of the output.
        ({ mend, ...finding }) => ({
          where: key,
          ...finding,
          ...(mend && { adopt: true as const }),
        }),
      ),
      ...(await indexFindings(client, key, patient, records)),
      ...(await moveFindings(client, key)),
    ])
    return [...findings, ...(await appFindings(shard))]
  } catch (error) {
    return [unsafe(key, 'reachable', sentenceOf(error))]
  }
}

async function homesOn(
  client: Client,
  shard: ShardAccess,
  { tenancy }: Patient,
  records?: Records,
): Promise<Diagnosis[]> {
  const known = records?.shards.find(({ key }) => key === shard.key)
  if (!records || !known || (await identityOf(client)) === undefined) return []
  return homeFindings(client, { shard, shardId: known.id, tenants: records.tenants, tenancy })
}

async function unopenedFindings(client: Client, where: string, { tenancy }: Patient): Promise<Diagnosis[]> {
  const tables = await unopenedTables(client, { global: [], ...tenancy })
  const reason =
    'The gateway has no right on it, so it is not in the API. Run "shardgate setup" again, or grant one right by hand.'
  return tables.map((table) => ({ where, table, check: 'no rights', severity: 'advice', reason }))
}

/** Names that clash keep the gateway from starting; what is in no API is told with the reason, and is no fault. */
async function servingFindings(client: Client, where: string, { tenancy }: Patient): Promise<Diagnosis[]> {
  const [app] = await client.query({ text: 'select to_regrole($1) is not null as there', values: [APP_ROLE] })
  if (app?.there !== 't') return [] // `checkSafety` tells that it is missing.
  try {
    const { leftOut } = await survey(client, { ...tenancy, role: APP_ROLE, apart: TENANT_SCHEMAS })
    return leftOut.map(({ id: table, reason }) => ({
      where,
      table,
      check: 'not served',
      severity: 'note',
      reason,
    }))
  } catch (error) {
    if (isGatewayError(error) && error.code === 'CONFIG_INVALID')
      return [unsafe(where, 'names', error.message)]
    throw error
  }
}

async function indexFindings(
  client: Client,
  key: string,
  { tenancy }: Patient,
  records?: Records,
): Promise<Diagnosis[]> {
  const seen = records?.statistics?.filter(({ shard }) => shard === key) ?? []
  const findings = await adviseIndexes(client, tenancy.column, seen)
  return findings.map((finding) => ({ where: key, ...finding }))
}

/** Small tenants move all the same: nothing has to be followed while their rows are copied. */
async function moveFindings(client: Client, where: string): Promise<Diagnosis[]> {
  const [row] = await client.query(`select current_setting('wal_level') as level`)
  if (row?.level === 'logical') return []
  const reason = `wal_level is ${row?.level}, so only small tenants can be moved from and to it. For all: alter system set wal_level = logical; and restart its server.`
  return [{ where, check: 'moves', severity: 'note', reason }]
}

async function identityFindings(client: Client, key: string, records?: Records): Promise<Diagnosis[]> {
  const id = await identityOf(client)
  const known = records?.shards.find((shard) => shard.key === key)
  if (!known || id === known.id) return []
  const reason = `It carries the identity ${id ?? '(none)'}; the directory knows ${known.id}. Its URL leads to another database than before.`
  return [unsafe(key, 'identity', reason)]
}

/** Whether the gateway could log in, as the role that all other checks are about. */
async function appFindings({ key, appUrl }: Patient['shards'][number]): Promise<Diagnosis[]> {
  try {
    const client = await connect(appUrl)
    const [me] = await client.query('select current_user as name').finally(() => client.end())
    if (me?.name === APP_ROLE) return []
    return [unsafe(key, 'app role', `Its url logs in as "${me?.name}"; wanted ${APP_ROLE}.`)]
  } catch (error) {
    const reason = `The gateway cannot log in at ${placeOf(appUrl)}: ${reasonOf(error)}.`
    const hint = connectionHint(error, appUrl)
    return [unsafe(key, 'app role', hint === undefined ? reason : `${reason} ${hint}`)]
  }
}

function sentenceOf(error: unknown): string {
  return isGatewayError(error)
    ? `${error.message} ${error.hint}`
    : `It could not be examined: ${reasonOf(error)}.`
}
