/** The operation `tenant.import`. */

import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fail } from '../../base/errors.ts'
import type { Creation } from '../creation.ts'
import type { At, Kind } from '../operations/types.ts'
import { requireFit } from './fit.ts'
import type { TableHash } from './hash.ts'
import { inLanes } from './lanes.ts'
import { Meter } from './lines.ts'
import { loadTables, type Phase } from './load.ts'
import { changed, type ExportedTable, type Manifest, readManifest } from './manifest.ts'
import { bySize } from './read.ts'
import type { Whereabouts } from './snapshot.ts'
import { type Copied, copySteps } from './steps.ts'
import type { CopyTable } from './tables.ts'

export interface ImportInput extends Creation {
  /** Absolute path. */
  readonly folder: string
  /** Of the manifest; another one of the same folder is another export. */
  readonly madeAt: string
}

export const IMPORT: Kind<ImportInput, Copied> = { name: 'tenant.import', steps: copySteps(load) }

async function load(at: At<ImportInput, Copied>, target: Whereabouts): Promise<TableHash[]> {
  const { folder, madeAt } = at.input
  const manifest = await readManifest(folder)
  if (manifest.madeAt !== madeAt)
    fail('REFUSED', `${folder} holds another export than when the import began.`)
  const files = filesOf(manifest, await requireFit(target, manifest))
  const covered = [...files.keys()]
  const filled = covered.filter((table) => (files.get(table)?.rows ?? 0) > 0)
  const report = counting(at, manifest)
  await loadTables(target, { covered, filled }, (phase) => pour(phase, folder, files, report))
  return manifest.tables.map(({ table, rows, hash }) => ({ table, rows, hash }))
}

function filesOf({ tables }: Manifest, there: readonly CopyTable[]): Map<CopyTable, ExportedTable> {
  const files = new Map(tables.map((file) => [file.table, file]))
  return new Map(
    there.flatMap((table) => {
      const file = files.get(table.id)
      return file ? [[table, file]] : []
    }),
  )
}

function counting({ report }: At<ImportInput, Copied>, { rows: total }: Manifest) {
  let done = 0
  return (table: CopyTable, rows: number): void => {
    done += rows
    report(table.id, done, total)
  }
}

function pour(
  { tables, lanes, open }: Phase,
  folder: string,
  files: ReadonlyMap<CopyTable, ExportedTable>,
  report: (table: CopyTable, rows: number) => void,
): Promise<void> {
  const rows = new Map([...files].map(([table, file]) => [table, file.rows]))
  const ordered = lanes > 1 ? bySize(tables, rows) : tables
  return inLanes([...Array(lanes).keys()], ordered, async (lane, table, signal) => {
    const { file, sha256 } = files.get(table)!
    const path = join(folder, file)
    const meter = new Meter((passed) => report(table, passed))
    const { sink, end } = await open(table, lane)
    await pipeline([createReadStream(path), meter, ...sink], { signal })
    // It was right before the import began; these are the bytes that have gone in.
    if (meter.passed().sha256 !== sha256) changed(path)
    await end()
  })
}
