/**
 * The folder of an export: a file of rows for each table, and `manifest.json`, which is written last and says what
 * belongs to it. A folder without one is no export.
 *
 * The manifest is sealed with a hash of itself, each file with one of its bytes, and each table with the hash of its
 * contents as Postgres had them. That finds whatever went wrong by accident. It is no signature: who can write to the
 * folder can make another export of it, and so the files never say whose rows they hold.
 */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { canonicalJson } from '../../base/canonical.ts'
import { fail } from '../../base/errors.ts'
import type { Isolation, TenantSettings } from '../../directory/types.ts'
import { reasonOf } from '../reach.ts'
import type { Shape } from './snapshot.ts'
import type { CopyColumn, CopyTable } from './tables.ts'

const FORMAT = 'shardgate-export-1'
const MANIFEST = 'manifest.json'

/** What the directory knows of a tenant, and a copy of it begins with. */
export interface TenantFacts {
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly state: string
  readonly settings: TenantSettings
}

/** A table as it was written. */
export interface ExportedTable {
  /** As in `CopyTable`. */
  readonly table: string
  /** Name in the folder. */
  readonly file: string
  /** In the order of the file. */
  readonly columns: readonly CopyColumn[]
  /** Whether the table has the tenant column, which is not in the file. */
  readonly ofTenant: boolean
  readonly rows: number
  readonly bytes: number
  /** Of the file. */
  readonly sha256: string
  /** Of the rows, as in `TableHash`. */
  readonly hash: string
}

export interface Manifest {
  readonly format: typeof FORMAT
  /** ISO 8601, UTC. */
  readonly madeAt: string
  /** Its id. */
  readonly tenant: string
  readonly about: TenantFacts
  readonly source: { readonly shard: string; readonly isolation: Isolation; readonly namespace: string }
  readonly shape: Shape
  readonly tables: readonly ExportedTable[]
  readonly rows: number
  /** Content hash of all tables. */
  readonly hash: string
}

/** Names of files begin with a number: names of tables may differ only in what a file system does not tell apart. */
export function fileOf(table: Pick<CopyTable, 'id'>, no: number): string {
  return `${String(no + 1).padStart(4, '0')}-${table.id.replace(/[^\w.-]/g, '_').slice(0, 100)}.copy`
}

/** Write the manifest so that it is there whole or not at all, also after a power cut. */
export async function writeManifest(folder: string, manifest: Omit<Manifest, 'format'>): Promise<void> {
  const sealed = { format: FORMAT, ...manifest }
  const text = `${JSON.stringify({ ...sealed, seal: sealOf(sealed) }, null, 2)}\n`
  const path = join(folder, MANIFEST)
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
}

/**
 * Read the manifest of an export and see that it is whole.
 *
 * @throws REFUSED  there is none, it was changed, or this release does not know its form
 */
export async function readManifest(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, MANIFEST), 'utf8').catch((cause: unknown) =>
    fail('REFUSED', `${folder} is no complete export: its ${MANIFEST} cannot be read (${reasonOf(cause)}).`),
  )
  const { seal, ...manifest } = parsed(text, folder)
  if (manifest.format !== FORMAT) {
    fail('REFUSED', `${folder} was written in another form than ${FORMAT}, the one that this release reads.`)
  }
  if (seal !== sealOf(manifest))
    fail('REFUSED', `${join(folder, MANIFEST)} was changed after it had been written.`)
  for (const { file } of manifest.tables) requirePlain(folder, file)
  return manifest
}

function parsed(text: string, folder: string): Manifest & { readonly seal: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Manifest & { readonly seal: unknown }
  } catch {
    // Told below.
  }
  return fail('REFUSED', `${join(folder, MANIFEST)} is not the JSON of a manifest.`)
}

const sealOf = (manifest: object): string =>
  createHash('sha256').update(canonicalJson(manifest)).digest('hex')

function requirePlain(folder: string, file: string): void {
  if (typeof file === 'string' && basename(file) === file && file.endsWith('.copy')) return
  fail(
    'REFUSED',
    `The manifest of ${folder} names the file ${JSON.stringify(file)}, which cannot be one of it.`,
  )
}

/**
 * See that each file holds what the manifest says, byte by byte.
 *
 * @throws REFUSED  a file is missing, has another size, or other bytes
 */
export async function requireFiles(
  folder: string,
  { tables }: Manifest,
  told: (bytes: number) => void,
): Promise<void> {
  for (const table of tables) {
    const path = join(folder, table.file)
    const size = await stat(path).then(
      (found) => found.size,
      () => fail('REFUSED', `${path} is missing; the manifest lists it.`),
    )
    if (size !== table.bytes) fail('REFUSED', `${path} has ${size} bytes; the manifest says ${table.bytes}.`)
    const hash = createHash('sha256')
    await pipeline(createReadStream(path), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        hash.update(chunk)
        told(chunk.length)
      }
    })
    if (hash.digest('hex') !== table.sha256) changed(path)
  }
}

/** @throws REFUSED */
export function changed(path: string): never {
  return fail(
    'REFUSED',
    `${path} was changed after it had been written: its SHA-256 is not that of the manifest.`,
  )
}
