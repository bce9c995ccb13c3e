/**
 * The cutover: the one moment in which a tenant's writes are held, and the one line behind which there is no return.
 *
 *     directory  'frozen'                     so that whoever takes over knows that the old home has to be opened
 *     from       lock, fence 'frozen', mark   one transaction: behind the mark there is no write of the tenant
 *     to         what is left: drained, compared, sequences raised
 *     directory  placement, epoch, state      ═══ the commit point ═══
 *     from       fence 'moved'                before the next line: until then both hold the same, and reads are right on either
 *     to         fence 'active'
 *
 * Before the commit point every failure opens the old home again. A connection that is lost while the commit point is
 * under way proves nothing: the move is left as it is, and whoever claims it next finds in the directory which it was.
 */

import { fail, isGatewayError } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import { type Client, sqlState } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { identityOf } from '../install.ts'
import { type FenceState, fenceOf } from '../life/fence.ts'
import { requireSubject } from '../life/subject.ts'
import { onHome } from '../reach.ts'
import { changeFence, closeFence, freezeFence, openFence, roleOfHome, sharesFence } from './fences.ts'
import { emitMark } from './follow.ts'
import { as } from './moving.ts'
import { enterState } from './store.ts'
import type { End, MoveMemory, MoveRecord, Moving, Side } from './types.ts'

/** Sessions of the owner on both homes, opened before anything is held. */
export interface Ends {
  readonly from: Client
  readonly to: Client
}

/** Which way a cutover goes. */
export interface Way {
  readonly from: End
  readonly to: End
}

export interface Cutover extends Way {
  /** Behind it there is no write of the tenant in the stream of the old home. */
  readonly mark: string
  /** Kept with the commit point. */
  readonly memory?: MoveMemory
  /** Milliseconds for which writes may be held. */
  readonly budgetMs: number
  /** What has to happen while writes are held; throws when the new home must not be opened. */
  readonly whileFrozen: (ends: Ends) => Promise<void>
  /** What is left to do once the tenant is served at its new home. @param pauseMs  for which writes were held */
  readonly opened: (moving: Moving, pauseMs: number) => Promise<MoveRecord>
}

/** A cutover that was given up before the commit point; the tenant writes where it did before. */
export class Thawed extends Error {
  override readonly name = 'Thawed'

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
  }

  /** Whether another attempt may go better. */
  get isPassing(): boolean {
    return isGatewayError(this.cause, 'TIMEOUT') || isGatewayError(this.cause, 'TENANT_BUSY')
  }
}

/** Cutovers of one run; between two, milliseconds that double, from the second number on. */
const [TRIES, AGAIN_MS] = [6, 250]

/**
 * Try again what was given up for a reason that may pass: a long write, a slow moment.
 *
 * @throws  what lay behind the last attempt
 */
export async function patiently<T>({ signal }: Moving, attempt: (no: number) => Promise<T>): Promise<T> {
  for (let no = 1; ; no++) {
    try {
      return await attempt(no)
    } catch (error) {
      if (!(error instanceof Thawed)) throw error
      if (!error.isPassing || no === TRIES) throw error.cause
      await sleep(AGAIN_MS * 2 ** (no - 1), signal)
    }
  }
}

/**
 * Hold the tenant's writes, point the directory at the new home, and let them in there.
 *
 * @throws Thawed  it was given up before the commit point, and the old home is open
 * @throws         anything else: nobody knows; the next to claim the move will
 */
export function cutOver(moving: Moving, cutover: Cutover): Promise<MoveRecord> {
  const { from, to, budgetMs, opened } = cutover
  return onHome(from.where.shard, from.where.home, (fromClient) =>
    onHome(to.where.shard, to.where.home, async (toClient) => {
      const ends = { from: fromClient, to: toClient }
      const pids = await Promise.all([pidOf(fromClient), pidOf(toClient)])
      const frozen = as(moving, await enterState(moving.directory, moving.record, 'done'))
      const frozenAt = performance.now()
      try {
        await withinBudget(hold(frozen, cutover, ends), budgetMs)
        frozen.signal.throwIfAborted()
      } catch (cause) {
        await Promise.all([endSession(from.where, pids[0]), endSession(to.where, pids[1])])
        await thaw(frozen, from)
        throw new Thawed(cause)
      }
      const relocated = as(frozen, await relocatePlacement(frozen, cutover))
      await tellHomes(relocated, cutover, ends)
      return opened(relocated, performance.now() - frozenAt)
    }),
  )
}

async function pidOf(client: Client): Promise<string> {
  const [row] = await client.query('select pg_backend_pid() as pid')
  return row?.pid ?? ''
}

// A freeze that is only late must not come true behind the thaw.
async function endSession({ shard, home }: Whereabouts, pid: string): Promise<void> {
  await onHome(shard, home, (client) =>
    client.query(compile(sql`select pg_terminate_backend(${sql.value(pid)}::int, ${sql.literal(GONE_MS)})`)),
  )
}

/** Milliseconds in which a session that is told to end has to be gone. */
const GONE_MS = 5_000

async function hold(moving: Moving, cutover: Cutover, ends: Ends): Promise<void> {
  await freeze(moving, cutover, ends.from)
  await cutover.whileFrozen(ends)
}

/** Milliseconds that the freeze waits for writes that are under way; new ones queue up behind it meanwhile. */
const LOCK_SHARE = 0.3

/** @throws TENANT_BUSY  a write of the tenant goes on for longer than a freeze may wait */
async function freeze(
  { record, tenant }: Moving,
  { from: { side }, mark, budgetMs }: Cutover,
  client: Client,
): Promise<void> {
  const lockMs = Math.max(1, Math.round(budgetMs * LOCK_SHARE))
  try {
    await client.transaction(async () => {
      await client.query(`set local lock_timeout = ${lockMs}`)
      await client.query(
        compile(sql`select pg_advisory_xact_lock(shardgate.tenant_lock(${sql.value(tenant)}))`),
      )
      await freezeFence(client, tenant, side.epoch)
      await emitMark(client, record.id, mark)
    })
  } catch (cause) {
    if (sqlState(cause) !== '55P03') throw cause
    const sentence = `A write of ${tenant} goes on for more than the ${lockMs} ms that a freeze may wait for it.`
    fail('TENANT_BUSY', sentence, { tenant }, { cause, hint: 'It is tried again; end the long transaction.' })
  }
}

/**
 * Open the old home again. Only the holder of the lease may, before the commit point; whoever comes later has a
 * higher token.
 */
export async function thaw(moving: Moving, { where, side }: End): Promise<MoveRecord> {
  const { directory, tenant, record } = moving
  const state = await fenceStateOf(moving)
  await onHome(where.shard, where.home, (client) => openFence(client, tenant, side.epoch, state))
  return enterState(directory, record, 'retried')
}

async function fenceStateOf({ directory, tenant }: Moving): Promise<FenceState> {
  const { state } = await requireSubject(directory, tenant)
  return state === 'creating' || state === 'purging' ? 'suspended' : fenceOf(state)
}

/**
 * THE COMMIT POINT. One transaction of the directory: before it the tenant is where it was, whatever happens; after
 * it the tenant is at `to`, whatever happens.
 *
 * @throws TENANT_BUSY  somebody else holds the move
 * @throws REFUSED      the tenant is not where the move has found it
 */
function relocatePlacement(
  { directory, record, tenant }: Moving,
  { from: { side: from }, to: { side: to }, memory = {} }: Cutover,
): Promise<MoveRecord> {
  return directory.transaction(async () => {
    const moved = await directory.query(
      compile(sql`
        update directory.tenant set epoch = ${sql.value(to.epoch)}::bigint
        where id = ${sql.value(tenant)} and epoch = ${sql.value(from.epoch)}::bigint
        returning id`),
    )
    if (moved.length === 0) fail('REFUSED', `${tenant} is not at epoch ${from.epoch} any more.`, { tenant })
    await directory.query(compile(placementOf(tenant, to)))
    // Last: it locks the audit log, for which somebody may wait who has locked the tenant's row ("tenant set").
    return enterState(directory, record, 'done', { memory })
  })
}

const placementOf = (tenant: string, { shard, isolation, namespace }: Side) => sql`
  insert into directory.placement (tenant_id, shard, isolation, namespace)
  values (${sql.value(tenant)}, ${sql.value(shard)}, ${sql.value(isolation)}, ${sql.value(namespace)})
  on conflict (tenant_id) do update
    set shard = excluded.shard, isolation = excluded.isolation, namespace = excluded.namespace`

/**
 * Tell both homes what the directory says, in the only order in which nobody reads what is old. Also for whoever finds
 * a move behind its commit point.
 */
export async function tellHomes(moving: Moving, { from, to }: Way, ends: Ends): Promise<void> {
  const { tenant } = moving
  const { epoch } = from.side
  if (sharesFence(from.where, to.where)) {
    const state = await fenceStateOf(moving)
    const role = roleOfHome(to.side.isolation, tenant, (await identityOf(ends.to)) ?? '')
    return changeFence(ends.to, tenant, epoch, { epoch: to.side.epoch, state, role })
  }
  await closeFence(ends.from, tenant, epoch, to.side.epoch)
  await openNew(moving, to, ends.to)
}

/** Let the tenant in at its new home; by itself only where the old one cannot be told. */
export async function openNew(moving: Moving, { side }: End, client: Client): Promise<void> {
  const { tenant } = moving
  const state = await fenceStateOf(moving)
  await openFence(client, tenant, side.epoch, state)
}

/** @throws TIMEOUT  `work` goes on for longer than writes may be held; its sessions are closed by whoever thaws */
async function withinBudget<T>(work: Promise<T>, budgetMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(overrun(budgetMs)), budgetMs)
  })
  work.catch(() => {})
  try {
    return await Promise.race([work, over])
  } finally {
    clearTimeout(timer)
  }
}

function overrun(budgetMs: number): Error {
  try {
    return fail(
      'TIMEOUT',
      `The cutover took more than the ${budgetMs} ms for which writes may be held (moves.pauseMs).`,
    )
  } catch (error) {
    return error as Error
  }
}
