/**
 * Checking a receipt: whether it is the document that was written, and what has become of the data since. A tenant goes
 * on living, so "changed since" is what is expected; a receipt that is not what the audit log holds is not.
 */

import { fail } from '../../base/errors.ts'
import { tenantId } from '../../base/ids.ts'
import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { copySubject } from '../copy/subject.ts'
import { asMover } from '../copy/target.ts'
import { hashOf, type Seal, sealOf } from '../life/receipts.ts'
import { findSubject, type Subject } from '../life/subject.ts'
import { findTombstone } from '../life/tombstones.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { beginMoment, differencesOf, treesOf } from './hash-tree.ts'
import { IDEMPOTENCY } from './moved-tables.ts'
import type { TableTree } from './proof.ts'
import { MOVE_RECEIPT, type MoveReceipt } from './receipt.ts'

/** What has become of the rows of a table. */
export interface TableCheck {
  readonly table: string
  readonly rows: number
  readonly rowsNow: number
  /** Leaves that do not hold what they held; 0: unchanged. */
  readonly leaves: number
  readonly of: number
}

export interface ReceiptCheck {
  readonly receipt: string
  readonly document: MoveReceipt
  /** Whether the document is the one whose hash stands beside it. */
  readonly isIntact: boolean
  /** The entry of the audit log that holds its hash; null: none does, so it was altered or put there. */
  readonly seal: Seal | null
  /** Where the tenant is now. 'elsewhere': it has moved on, and its rows are compared where they are. */
  readonly standing: 'there' | 'elsewhere' | 'purged' | 'gone'
  readonly at: Pick<Subject, 'shard' | 'isolation' | 'namespace'> | null
  /** Empty when there is nothing to compare: no trees in the receipt, or no rows any more. */
  readonly tables: readonly TableCheck[]
}

/**
 * Check a receipt against its entry of the audit log and against the data that is there now.
 *
 * @param id  of the receipt (`MoveRecord.receipt`)
 * @throws REFUSED            there is none, or it is not that of a move
 * @throws SHARD_UNAVAILABLE  the tenant's home cannot be reached
 */
export function checkReceipt(fleet: Fleet, id: string): Promise<ReceiptCheck> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const { body, hash } = await readReceipt(directory, id)
    const document = JSON.parse(body) as MoveReceipt
    const tenant = tenantId(document.tenant)
    const subject = await findSubject(directory, tenant)
    const proven = {
      receipt: id,
      document,
      isIntact: hashOf(body) === hash,
      seal: await sealOf(directory, hashOf(body)),
    }
    const isHome = subject !== null && subject.state !== 'creating' && subject.state !== 'purging'
    if (!isHome) {
      const standing = (await findTombstone(directory, tenant)) ? 'purged' : 'gone'
      return { ...proven, standing, at: null, tables: [] }
    }
    const { where } = await copySubject(fleet, directory, tenant)
    const { shard, isolation, namespace } = subject
    const isThere =
      shard === document.to.shard &&
      isolation === document.to.isolation &&
      namespace === document.to.namespace
    return {
      ...proven,
      standing: isThere ? 'there' : 'elsewhere',
      at: { shard, isolation, namespace },
      tables: await compareNow(document, where),
    }
  })
}

async function readReceipt(directory: Queryable, id: string): Promise<{ body: string; hash: string }> {
  const [row] = await directory.query(
    compile(sql`
      select body, hash from directory.receipt
      where kind = ${sql.value(MOVE_RECEIPT)} and id::text = ${sql.value(id)}`),
  )
  if (row) return { body: row.body ?? '', hash: row.hash ?? '' }
  return fail(
    'REFUSED',
    `There is no receipt "${id}" of a move.`,
    {},
    { hint: 'See "shardgate move list --all".' },
  )
}

function compareNow({ contents }: MoveReceipt, where: Whereabouts): Promise<TableCheck[]> {
  if (!contents) return Promise.resolve([])
  return asMover(where)(async (client) => {
    await beginMoment(client, where)
    const now = (await treesOf(client, where)).filter(isKept)
    await client.query('rollback')
    const then = contents.tables.map((tree) => ({ ...tree, leaves: leavesFrom(tree.leaves) })).filter(isKept)
    const differences = new Map(differencesOf(then, now).map((one) => [one.table, one]))
    return then.map(({ table, rows, leaves }) => {
      const {
        rows: [, rowsNow] = [rows, rows],
        leaves: changed = [],
        of = leaves.length,
      } = differences.get(table) ?? {}
      return { table, rows, rowsNow, leaves: changed.length, of }
    })
  })
}

const leavesFrom = (text: string): string[] => (text === '' ? [] : text.split(','))

// Answers by idempotency key are of one day; that they are gone later says nothing.
const isKept = ({ table }: Pick<TableTree, 'table'>): boolean => table !== IDEMPOTENCY

/** A check in sentences for people, the verdict on the document first. */
export function receiptSentences(check: ReceiptCheck): string[] {
  return [documentSentence(check), standingSentence(check), ...check.tables.map(tableSentence)]
}

function documentSentence({ receipt, document, isIntact, seal }: ReceiptCheck): string {
  if (isIntact && seal) {
    return `Receipt ${receipt} of move ${document.move} is as it was written: entry ${seal.no} of the audit log, ${seal.at}.`
  }
  const why = isIntact ? 'the audit log has no entry of it' : 'its text is not the one that its hash is of'
  return `Receipt ${receipt} of move ${document.move} is NOT as it was written: ${why}. Run "shardgate audit verify".`
}

function standingSentence({ document, standing, at }: ReceiptCheck): string {
  const { tenant, to, contents } = document
  if (standing === 'purged') return `${tenant} was purged since: nothing is left to compare.`
  if (standing === 'gone')
    return `${tenant} is not there any more, or not finished: there is nothing to compare.`
  const place =
    standing === 'there' ? `where it came to, on ${to.shard}` : `elsewhere by now, on ${at?.shard}`
  if (!contents)
    return `${tenant} is ${place}. The receipt holds no hashes: the runner was lost before it had made them.`
  return `${tenant} is ${place}. Compared with the moment of its ${contents.moment}:`
}

function tableSentence({ table, rows, rowsNow, leaves, of }: TableCheck): string {
  if (leaves === 0) return `${table}: unchanged, ${rows} rows.`
  const more = rowsNow - rows
  const count =
    more === 0 ? `${rows} rows as before` : `${Math.abs(more)} rows ${more > 0 ? 'more' : 'fewer'}`
  return `${table}: changed since, ${count}; ${leaves} of ${of} leaves differ.`
}
