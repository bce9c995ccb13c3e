/**
 * `tenant import` and `tenant clone`: a new tenant with the rows of an export, or of another tenant, on any shard and
 * in any isolation model.
 *
 * Everything that can be known is looked at before anything is changed. What comes out to be wrong later, such as a
 * file that does not hold what its manifest says, has the operation undone at once: it could not succeed when it is
 * run again. After a fault of a server or a network it waits to be resumed or aborted.
 */

import { resolve } from 'node:path'
import { fail, isGatewayError } from '../../base/errors.ts'
import { type TenantId, tenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { findTenant, type TenantRecord } from '../../directory/tenants.ts'
import type { Isolation } from '../../directory/types.ts'
import { requireSubdomain } from '../creation.ts'
import { requireMakeable } from '../homes/home.ts'
import { accessTo } from '../homes/reach-home.ts'
import { creationOf, type NewTenant } from '../lifecycle.ts'
import { runOperation } from '../operations/run.ts'
import { findRunning } from '../operations/store.ts'
import type { Kind, Report } from '../operations/types.ts'
import { abortOperation } from '../operations/unfinished.ts'
import { choosePlace } from '../placing.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { CLONE, type CloneInput } from './clone-steps.ts'
import { type ReadRows, requireFuture, shapesOf } from './fit.ts'
import { IMPORT, type ImportInput } from './import-steps.ts'
import { type Manifest, readManifest, requireFiles } from './manifest.ts'
import { withSnapshot } from './snapshot.ts'
import type { Copied } from './steps.ts'
import { copySubject, tenancyOf } from './subject.ts'
import { requireMover } from './target.ts'

export interface CopyOptions {
  /** Default is where the strategy says. */
  readonly shard?: string
  /** Default is that of the source. */
  readonly isolation?: Isolation
  /** Default is that of the source for the same id, else the id. */
  readonly subdomain?: string
  /** Default is that of the source. */
  readonly plan?: string
  readonly report?: Report
}

export interface CopyResult {
  readonly tenant: TenantRecord
  readonly rows: number
}

/**
 * Make a tenant out of an export.
 *
 * @param as  its id; default is that of the tenant that was exported
 * @throws REFUSED        the folder is no whole export, or its rows do not fit; nothing is left of it
 * @throws TENANT_EXISTS  the id or the subdomain is taken
 * @throws SETUP_FAILED   the shard has no mover, or a home cannot be made
 * @throws TENANT_BUSY, SHARD_UNKNOWN, SHARD_UNAVAILABLE, DIRECTORY_UNAVAILABLE
 */
export async function importTenant(
  fleet: Fleet,
  path: string,
  { as, ...options }: CopyOptions & { readonly as?: TenantId } = {},
): Promise<CopyResult> {
  const folder = resolve(path)
  const manifest = await readManifest(folder)
  const id = as ?? tenantId(manifest.tenant)
  await requireFiles(folder, manifest, byteReport(manifest, options.report))
  const { name, plan, settings } = manifest.about
  const own = id === manifest.tenant ? manifest.about.subdomain : id
  const creation = creationOf(
    fleet,
    wantedOf(id, { name, plan, settings }, own, manifest.source.isolation, options),
  )
  const input: ImportInput = { ...creation, folder, madeAt: manifest.madeAt }
  return run(fleet, IMPORT, { id, input, rows: async () => manifest, ...options })
}

function byteReport({ tables }: Manifest, report: Report = () => {}) {
  const total = tables.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  return (bytes: number): void => {
    done += bytes
    report('check files', done, total)
  }
}

/**
 * Make a sandbox out of a tenant: its rows of one moment, its plan and its settings, with `sandbox: {of}` among them.
 *
 * @throws TENANT_UNKNOWN  there is no tenant `source`
 * @throws                 as `importTenant`
 */
export async function cloneTenant(
  fleet: Fleet,
  source: TenantId,
  { as, ...options }: CopyOptions & { readonly as: TenantId },
): Promise<CopyResult> {
  const { about, where } = await onDirectory(fleet.directoryUrl, (db) => copySubject(fleet, db, source))
  const settings = { ...about.settings, sandbox: { of: source } }
  const facts = { name: `${about.name} (sandbox)`, plan: about.plan, settings }
  const creation = creationOf(fleet, wantedOf(as, facts, as, where.home.isolation, options))
  const rows = (): Promise<ReadRows> =>
    withSnapshot(where, async ({ shape, tables }) => ({ shape, tables: shapesOf(tables, new Map()) }))
  return run<CloneInput>(fleet, CLONE, { id: as, input: { ...creation, source }, rows, ...options })
}

function wantedOf(
  id: TenantId,
  { name, plan, settings }: Required<Pick<NewTenant, 'name' | 'plan' | 'settings'>>,
  label: string,
  isolation: Isolation,
  options: CopyOptions,
): NewTenant {
  return {
    id,
    name,
    settings,
    plan: options.plan ?? plan,
    subdomain: options.subdomain ?? label,
    isolation: options.isolation ?? isolation,
    ...(options.shard !== undefined && { shard: options.shard }),
  }
}

interface Request<Input> extends CopyOptions {
  readonly id: TenantId
  readonly input: Input
  /** What will be read. */
  readonly rows: () => Promise<ReadRows>
}

async function run<Input extends ImportInput | CloneInput>(
  fleet: Fleet,
  kind: Kind<Input, Copied>,
  { id, input, rows, report }: Request<Input>,
): Promise<CopyResult> {
  const require = async (directory: Client): Promise<void> => {
    if (await findTenant(directory, id))
      fail('TENANT_EXISTS', `There is a tenant ${id} already.`, { tenant: id })
    await requireSubdomain(directory, id, input.subdomain)
    const place = await choosePlace(directory, fleet, { tenant: id, ...input })
    await requireMakeable(fleet, place)
    await requireMover(fleet, place.shard)
    const shard = accessTo(fleet, place.shard)
    await requireFuture(
      { tenant: id, shard, tenancy: tenancyOf(fleet), isolation: place.isolation },
      await rows(),
    )
  }
  const request = { tenant: id, input, require, ...(report && { report }) }
  const { read } = await runOperation(fleet, kind, request).catch((error: unknown) =>
    giveUp(fleet, kind.name, id, error),
  )
  const tenant = await onDirectory(fleet.directoryUrl, (directory) => findTenant(directory, id))
  if (!tenant) return fail('TENANT_UNKNOWN', `${id} was removed meanwhile.`)
  return { tenant, rows: read.reduce((sum, table) => sum + table.rows, 0) }
}

// What was refused would be refused again: nothing of it is left lying about.
async function giveUp(fleet: Fleet, kind: string, id: TenantId, error: unknown): Promise<never> {
  const codes = ['REFUSED', 'TABLE_UNSAFE', 'SHARD_UNSAFE'] as const
  if (!codes.some((code) => isGatewayError(error, code))) throw error
  const begun = await onDirectory(fleet.directoryUrl, (directory) => findRunning(directory, id, kind))
  // Why it was refused says more than why it could not be undone; it is listed, and can be aborted again.
  if (begun?.kind === kind) await abortOperation(fleet, begun.id).catch(() => {})
  throw error
}
