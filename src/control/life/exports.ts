/** Removing the exports of a tenant that is erased, as far as they are on this host. */

import { readFile, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { isAbsolute, join, relative, resolve } from 'node:path'
import type { TenantId } from '../../base/ids.ts'
import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Fleet } from '../reach.ts'

export interface ExportsGone {
  /** Folders that are gone. */
  readonly removed: readonly string[]
  /** 'host:folder' of those that somebody has to remove by hand. */
  readonly elsewhere: readonly string[]
}

/**
 * Remove the folders that `tenant export` has written down. One on another host, or that is no export of this tenant
 * any more, is only told of.
 */
export async function removeExports(
  { exports }: Fleet,
  directory: Queryable,
  tenant: TenantId,
): Promise<ExportsGone> {
  const rows = await directory.query(
    compile(
      sql`select host, folder from directory.export where tenant_id = ${sql.value(tenant)} order by id`,
    ),
  )
  const removed: string[] = []
  const elsewhere: string[] = []
  for (const { host, folder } of rows) {
    const path = folder ?? ''
    if (host === hostname() && (await isGone(path, tenant, exports))) removed.push(path)
    else elsewhere.push(`${host}:${path}`)
  }
  return { removed, elsewhere }
}

async function isGone(folder: string, tenant: TenantId, exports: string | undefined): Promise<boolean> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error)
  // What somebody else made, and we may not look at, is there.
  if (found instanceof Error) return found.code === 'ENOENT'
  // A row of the directory must not be able to name any folder of this host, and the folder may be another's by now.
  const within = exports === undefined ? '..' : relative(resolve(exports), folder)
  const isInside = within !== '' && !within.startsWith('..') && !isAbsolute(within)
  const whose = await tenantOf(folder)
  // A removal that was killed may have begun with the manifest.
  if (whose !== tenant && !(isInside && whose === null)) return false
  await rm(folder, { recursive: true, force: true })
  return true
}

/** Whose export a folder holds by its manifest; null when it has none. */
async function tenantOf(folder: string): Promise<unknown> {
  try {
    const text = await readFile(join(folder, 'manifest.json'), 'utf8')
    return (JSON.parse(text) as { tenant?: unknown }).tenant
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : undefined
  }
}
