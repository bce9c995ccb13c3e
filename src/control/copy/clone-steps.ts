/** The operation `tenant.clone`: rows go from home to home, and never lie on a disk in between. */

import { tenantId } from '../../base/ids.ts'
import type { Creation } from '../creation.ts'
import type { At, Kind } from '../operations/types.ts'
import { type ReadRows, requireFit, shapesOf } from './fit.ts'
import type { TableHash } from './hash.ts'
import { inLanes } from './lanes.ts'
import { loadTables } from './load.ts'
import { bySize, type Reader, readTables } from './read.ts'
import { type Snapshot, type Whereabouts, withSnapshot } from './snapshot.ts'
import { type Copied, copySteps } from './steps.ts'
import { copySubject } from './subject.ts'
import type { CopyTable } from './tables.ts'

export interface CloneInput extends Creation {
  /** Id of the tenant whose rows are copied. */
  readonly source: string
}

export const CLONE: Kind<CloneInput, Copied> = { name: 'tenant.clone', steps: copySteps(load) }

async function load(at: At<CloneInput, Copied>, target: Whereabouts): Promise<TableHash[]> {
  const { where } = await copySubject(at.fleet, at.directory, tenantId(at.input.source))
  return withSnapshot(where, async (snapshot) => {
    const read = await readTables(snapshot, at.report, async (reader) => {
      const rows = { shape: snapshot.shape, tables: shapesOf(snapshot.tables, reader.counts) }
      await pipe(snapshot, reader, target, rows)
    })
    return read.map(({ table, rows, hash }) => ({ table, rows, hash }))
  })
}

async function pipe(
  { tables: own }: Snapshot,
  { counts, read }: Reader,
  target: Whereabouts,
  rows: ReadRows,
): Promise<void> {
  const there = await requireFit(target, rows)
  const sources = new Map(there.map((table) => [table, own.find(({ id }) => id === table.id)]))
  const sizes = new Map(there.map((table) => [table, counts.get(sources.get(table)!) ?? 0]))
  const covered = there.filter((table) => sources.get(table) !== undefined)
  const filled = covered.filter((table) => (sizes.get(table) ?? 0) > 0)
  await loadTables(target, { covered, filled }, ({ tables, lanes, open }) => {
    const ordered: readonly CopyTable[] = lanes > 1 ? bySize(tables, sizes) : tables
    return inLanes([...Array(lanes).keys()], ordered, async (lane, table, signal) => {
      const { sink, end } = await open(table, lane)
      await read(sources.get(table)!, lane, sink, signal)
      await end()
    })
  })
}
