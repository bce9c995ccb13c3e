/**
 * `tenant export`: all rows of a tenant at one moment, as files.
 *
 *     choose folder   its name is taken and written down, so that a purge finds it whatever happens next
 *     write files     into FOLDER.partial: tables, then the manifest
 *     publish         FOLDER.partial becomes FOLDER
 *
 * A run that dies leaves FOLDER.partial, and the next one begins it anew: its moment has passed.
 */

import { createWriteStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { runOperation } from '../operations/run.ts'
import type { At, Kind, Report } from '../operations/types.ts'
import type { Fleet } from '../reach.ts'
import { explained } from './faults.ts'
import { foldHashes } from './hash.ts'
import { inLanes } from './lanes.ts'
import { type ExportedTable, fileOf, type Manifest, readManifest, writeManifest } from './manifest.ts'
import { bySize, readTables } from './read.ts'
import { withSnapshot } from './snapshot.ts'
import { copySubject } from './subject.ts'

export interface ExportInput {
  /** Absolute path of the folder to be made; null for one of the export's own choice. */
  readonly folder: string | null
}

interface ExportMemory {
  readonly host: string
  readonly folder: string
  /** Of the manifest; tells this export from another one. */
  readonly madeAt: string
}

export interface ExportResult {
  readonly folder: string
  readonly manifest: Manifest
}

/**
 * Export a tenant in whatever state, or finish exporting it.
 *
 * @param to  a folder that does not exist; default is one below `exports` of the configuration
 * @throws TENANT_UNKNOWN, TENANT_BUSY, SHARD_UNAVAILABLE, DIRECTORY_UNAVAILABLE
 * @throws REFUSED       the folder is there already, or the export was begun on another host
 * @throws SETUP_FAILED  the disk is full, or refuses
 * @throws TABLE_UNSAFE  policies hide rows of the tenant from the owner
 */
export async function exportTenant(
  fleet: Fleet,
  tenant: TenantId,
  { to, report }: { readonly to?: string; readonly report?: Report } = {},
): Promise<ExportResult> {
  const folder = to === undefined ? null : resolve(to)
  const require = async (directory: Client): Promise<void> => {
    await copySubject(fleet, directory, tenant)
    if (folder !== null) await requireFree(folder)
  }
  const request = { tenant, input: { folder }, require, ...(report && { report }) }
  const memory = await runOperation(fleet, EXPORT, request)
  return { folder: memory.folder, manifest: await readManifest(memory.folder) }
}

async function requireFree(folder: string): Promise<void> {
  for (const path of [folder, partial(folder)]) {
    if (await exists(path)) fail('REFUSED', `${path} is there already. Name a folder that is not there yet.`)
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const partial = (folder: string): string => `${folder}.partial`

type Here = At<ExportInput, ExportMemory>

export const EXPORT: Kind<ExportInput, ExportMemory> = {
  name: 'tenant.export',
  steps: [
    { name: 'choose folder', run: chooseFolder, undo: forgetFolder },
    { name: 'write files', run: writeFiles, undo: removeFiles },
    { name: 'publish', run: publish, undo: removePublished },
  ],
  whyNotAbort: ({ memory }) => {
    if (memory.host === undefined || memory.host === hostname()) return undefined
    return `Its files are on the host ${memory.host}: abort it there.`
  },
}

async function chooseFolder(at: Here): Promise<Partial<ExportMemory>> {
  const { host, folder } = placeOf(at)
  const [tenant, key] = [sql.value(at.tenant), sql`(${sql.value(host)}, ${sql.value(folder)})`]
  await at.directory.query(
    compile(sql`
      insert into directory.export (tenant_id, host, folder)
      select ${tenant}, ${sql.value(host)}, ${sql.value(folder)}
      where not exists (select from directory.export where tenant_id = ${tenant} and (host, folder) = ${key})`),
  )
  return { host, folder }
}

async function forgetFolder(at: Here): Promise<void> {
  const { host, folder } = placeOf(at)
  await at.directory.query(
    compile(sql`
      delete from directory.export
      where tenant_id = ${sql.value(at.tenant)} and (host, folder) = (${sql.value(host)}, ${sql.value(folder)})`),
  )
}

function placeOf({ fleet, tenant, input, memory, operation }: Here): { host: string; folder: string } {
  const folder =
    memory.folder ?? input.folder ?? join(fleet.exports ?? resolve('exports'), `${tenant}-${operation}`)
  return { host: memory.host ?? hostname(), folder }
}

function writeFiles(at: Here): Promise<Partial<ExportMemory>> {
  const folder = partial(folderHere(at.memory))
  return explained(`The export to ${folder}`, async () => {
    await rm(folder, { recursive: true, force: true })
    // Rows of a tenant are nobody else's to read.
    await mkdir(folder, { recursive: true, mode: 0o700 })
    try {
      const manifest = await filesIn(folder, at)
      await writeManifest(folder, manifest)
      return { madeAt: manifest.madeAt }
    } catch (error) {
      // Of no use to the next run, and perhaps what fills the disk.
      await rm(folder, { recursive: true, force: true }).catch(() => {})
      throw error
    }
  })
}

async function filesIn(folder: string, at: Here): Promise<Omit<Manifest, 'format'>> {
  const { fleet, directory, report } = at
  const { subject, about, where } = await copySubject(fleet, directory, at.tenant!)
  const { tenant, shard, isolation, namespace } = subject
  const made = await withSnapshot(where, async (snapshot) => {
    const madeAt = new Date().toISOString()
    const read = await readTables(snapshot, report, ({ counts, read }) =>
      inLanes([0, 1], bySize(snapshot.tables, counts), async (lane, table, signal) => {
        const path = join(folder, fileOf(table, snapshot.tables.indexOf(table)))
        await read(table, lane, [createWriteStream(path, { mode: 0o600, flush: true })], signal)
      }),
    )
    const tables = snapshot.tables.map((table, no): ExportedTable => {
      const { columns, tenant: of } = table
      return { file: fileOf(table, no), columns, ofTenant: of !== null, ...read[no]! }
    })
    return { madeAt, tables, shape: snapshot.shape }
  })
  const { rows, hash } = foldHashes(made.tables)
  return { tenant, about, source: { shard, isolation, namespace }, ...made, rows, hash }
}

async function removeFiles({ memory }: Here): Promise<void> {
  await rm(partial(folderHere(memory)), { recursive: true, force: true })
}

function publish({ memory }: Here): Promise<undefined> {
  const folder = folderHere(memory)
  return explained(`The export to ${folder}`, async () => {
    if (await exists(partial(folder))) await rename(partial(folder), folder)
    await synced(folder)
    await synced(dirname(folder))
    return undefined
  })
}

// Somebody may have made a folder of that name meanwhile.
async function removePublished({ memory }: Here): Promise<void> {
  const folder = folderHere(memory)
  const found = await readManifest(folder).catch(() => undefined)
  if (found && found.madeAt === memory.madeAt) await rm(folder, { recursive: true, force: true })
}

/** Have the names in a folder kept, so that a power cut does not take them. */
async function synced(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function folderHere({ host, folder }: Partial<ExportMemory>): string {
  if (host === hostname() && folder !== undefined) return folder
  return fail('REFUSED', `The export was begun on the host ${host}: go on with it there.`)
}
