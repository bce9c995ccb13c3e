/**
 * The receipt of a move: who asked, from where to where, how long writes were held, and what the tenant's tables held
 * at the cutover. It is written when the move has settled and never changed; its hash stands in the audit log.
 *
 * What tables held is seen by a transaction that begins on the target while writes are held, which takes a millisecond,
 * and is hashed in it when they go on. Trees of the barrier before the freeze would not do: rows that were touched since
 * cannot be taken out of a sum without their old text, and nobody has that any more.
 */

import { VERSION } from '../../base/version.ts'
import type { Client } from '../../db/client.ts'
import { appendAudit } from '../../directory/audit.ts'
import { foldHashes } from '../copy/hash.ts'
import { insertReceipt } from '../life/receipts.ts'
import { readBook } from '../migrate/book.ts'
import { beginMoment } from './hash-tree.ts'
import type { Proof, TableTree } from './proof.ts'
import { type Sides, toSide, treesOfSide } from './sides.ts'
import type { MoveRecord, Moving, Side } from './types.ts'
import type { Verified } from './verify.ts'

export const MOVE_RECEIPT = 'move'

/** Keep the moment of the cutover: on the target, while writes are held and all of the source's is there. */
export function keepMoment(moving: Moving, sides: Sides): Promise<void> {
  return beginMoment(sides.target, moving.target)
}

/** Hash the moment that was kept, and let go of it. Behind the cutover it has to be done, whatever is wanted by then. */
export async function hashMoment(moving: Moving, sides: Sides, mark: string | null): Promise<Proof> {
  try {
    const trees = await treesOfSide(sides.target, moving.target, sides.twins.map(toSide))
    return { moment: 'cutover', mark, trees }
  } finally {
    await sides.target.query('rollback')
  }
}

/** What was found at a barrier, without its leaves: it is written down with the freeze, which must not wait for them. */
export function barrierProof({ trees, mark }: Verified): Proof {
  return { moment: 'barrier', mark, trees: trees.map((tree) => ({ ...tree, leaves: [] })) }
}

/** A document as it is stored. */
export interface MoveReceipt {
  readonly document: string
  readonly move: string
  readonly tenant: string
  readonly from: Side
  readonly to: Side
  readonly path: string | null
  readonly askedBy: string
  readonly plan: string | null
  /** When it came into each state: Postgres text of a timestamptz. */
  readonly phases: MoveRecord['times']
  /** Milliseconds from the freeze to the opening of the target. */
  readonly pauseMs: number | null
  readonly versions: {
    readonly shardgate: string
    readonly postgres: string
    /** The last migration of the tenant's tables. */
    readonly migration: string | null
  }
  readonly contents: {
    readonly moment: Proof['moment']
    readonly mark: string | null
    readonly rows: number
    readonly hash: string
    /** Leaves are one text, divided by commas. */
    readonly tables: readonly (Omit<TableTree, 'leaves'> & { readonly leaves: string })[]
  } | null
}

/**
 * Write the receipt of a move that has settled; call in a transaction. Gives its id, also when it is there already.
 *
 * @param home   a session on the target
 * @param proof  null: the runner that cut over was lost before it had any; then that of the last barrier, if there is one
 */
export async function makeReceipt(
  directory: Client,
  moving: Moving,
  home: Client,
  proof: Proof | null,
): Promise<string> {
  const { record, tenant } = moving
  if (record.receipt !== null) return record.receipt
  const document = documentOf(record, await versionsOf(home, moving), proof ?? record.memory.barrier ?? null)
  return directory.atomically(async () => {
    const { id, hash: sha256 } = await insertReceipt(directory, MOVE_RECEIPT, tenant, document)
    const details = { move: record.id, receipt: id, sha256 }
    await appendAudit(directory, {
      operator: record.operator,
      action: 'tenant.move receipt',
      tenant,
      details,
    })
    return String(id)
  })
}

async function versionsOf(home: Client, { target }: Moving): Promise<MoveReceipt['versions']> {
  const namespace = target.home.isolation === 'schema' ? target.home.namespace : ''
  const book = await readBook(home, namespace)
  const [server] = await home.query(`select current_setting('server_version') as version`)
  return { shardgate: VERSION, postgres: server?.version ?? '', migration: book.at(-1)?.version ?? null }
}

function documentOf(record: MoveRecord, versions: MoveReceipt['versions'], proof: Proof | null): MoveReceipt {
  const { id, tenant, source, target, path, operator, plan, times, pauseMs } = record
  return {
    document: 'Move of a tenant by Shardgate',
    move: id,
    tenant,
    from: source,
    to: target,
    path,
    askedBy: operator,
    plan,
    phases: times,
    pauseMs,
    versions,
    contents: proof && contentsOf(proof),
  }
}

function contentsOf({ moment, mark, trees }: Proof) {
  const { rows, hash } = foldHashes(trees)
  const tables = trees.map((tree) => ({ ...tree, leaves: tree.leaves.join(',') }))
  return { moment, mark, rows, hash, tables }
}
