/**
 * Moves as far as the follower: the target is made, the slot, the copy of its moment. What comes after that is up to the
 * test.
 *
 *     const stage = await followStage()
 *     const move = await stage.begin({ isolation: 'schema' })
 *     await stage.source.query(`update things …`)
 *     const follower = await follow(move.moving, 'forward')
 *     await stage.caughtUp(move, follower)       // and both ends hold the same
 */

import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { contentHash } from '../../src/control/copy/hash.ts'
import type { Whereabouts } from '../../src/control/copy/snapshot.ts'
import { tenancyOf } from '../../src/control/copy/subject.ts'
import { asMover } from '../../src/control/copy/target.ts'
import { namespaceOf } from '../../src/control/homes/home.ts'
import { accessTo } from '../../src/control/homes/reach-home.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { claimMove } from '../../src/control/move/claim.ts'
import { copyRows } from '../../src/control/move/copy-rows.ts'
import { emitMark, type Follower } from '../../src/control/move/follow.ts'
import { homeUrl } from '../../src/control/move/names.ts'
import { preparePublication, prepareTarget } from '../../src/control/move/prepare.ts'
import { fleetOfMove } from '../../src/control/move/sessions.ts'
import { freshSlot, removeSlot } from '../../src/control/move/slots.ts'
import { insertMove } from '../../src/control/move/store.ts'
import type { Moving, Side } from '../../src/control/move/types.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { freshFleet, type TestFleet } from './fleet.ts'
import { FOLLOW_SQL, rowsFor } from './follow-tables.ts'
import { migrate } from './migrate.ts'
import { type MigrationFolder, migrationFolder } from './migration-folder.ts'

export interface FollowedMove {
  readonly tenant: TenantId
  readonly moving: Moving
  /** Superusers; unqualified names are the tenant's tables there. */
  readonly source: Client
  readonly target: Client
  /** Ends whoever runs it, as a take-over does: all of its sessions are those of another token from now on. */
  takenOver(): Promise<Moving>
}

export interface FollowStage {
  readonly test: TestFleet
  readonly fleet: Fleet
  /** A tenant in shared tables of 'shard-a', with rows there, on its way to 'shard-b'. */
  begin(to?: { readonly isolation?: Isolation; readonly shard?: string }): Promise<FollowedMove>
  /** Wait until everything that is committed on the source by now is on the target. */
  caughtUp(move: FollowedMove, follower: Follower): Promise<void>
  /** Make the way back: the publication and the slot on the target. */
  wayBack(move: FollowedMove): Promise<void>
  /** `caughtUp`, of what is committed on the target. */
  caughtBack(move: FollowedMove, follower: Follower): Promise<void>
  /** Content hashes of both ends. */
  hashes(move: FollowedMove): Promise<[source: string, target: string]>
  /** Remove the slots of all moves, which a server has only a few of; call it after each test. */
  clear(): Promise<void>
  drop(): Promise<void>
}

/** @param extra  SQL of more tables */
export async function followStage(extra = ''): Promise<FollowStage> {
  const test = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  const folder = migrationFolder()
  folder.add('tables', FOLLOW_SQL + extra)
  for (const { key, url } of test.shards) {
    await migrate({ shard: { key, url: url('owner') }, folder: folder.path, schema: 'app' })
  }
  return new Stage(test, folder)
}

class Stage implements FollowStage {
  readonly test: TestFleet
  readonly fleet: Fleet
  readonly #folder: MigrationFolder
  readonly #begun: FollowedMove[] = []
  readonly #directories: Client[] = []
  #tenants = 0
  #marks = 0

  constructor(test: TestFleet, folder: MigrationFolder) {
    this.test = test
    this.fleet = { ...test.fleet, migrations: folder.path }
    this.#folder = folder
  }

  async begin({ isolation = 'shared', shard = 'shard-b' } = {} as { isolation?: Isolation; shard?: string }) {
    const tenant = await this.#freshTenant()
    const directory = await connect(this.test.directoryUrl)
    this.#directories.push(directory)
    const found = await findTenant(directory, tenant)
    const [row] = await directory.query(`select id from directory.shard where key = '${shard}'`)
    const namespace = namespaceOf(isolation, { tenant, shardId: row?.id ?? '', shared: 'app' })
    const { id } = await insertMove(directory, {
      tenant,
      source: { shard: 'shard-a', isolation: 'shared', namespace: 'app', epoch: found!.epoch },
      target: { shard, isolation, namespace },
      operator: 'test',
    })
    const moving = await this.#claimed(directory, id)
    await prepareTarget(moving)
    const source = await this.#superuser(moving.source)
    const target = await this.#superuser(moving.target)
    const takenOver = () => this.#claimed(directory, id)
    const move: FollowedMove = { tenant, moving, source, target, takenOver }
    this.#begun.push(move)
    await preparePublication(moving, 'forward')
    const slot = await freshSlot(moving, 'forward')
    await copyRows(moving, { snapshot: slot.snapshot })
    await slot.end()
    return move
  }

  async #freshTenant(): Promise<TenantId> {
    const source = await connect(this.test.shards[0]!.superuserUrl)
    try {
      this.#tenants += 1
      const id = tenantId(`follow-${this.#tenants}`)
      await createTenant(this.fleet, { id, shard: 'shard-a' })
      await source.query(`set search_path = app; ${rowsFor(id)}`)
      return id
    } finally {
      await source.end()
    }
  }

  async #claimed(directory: Client, id: string): Promise<Moving> {
    await directory.query(
      `update directory.move set lease_until = now() - interval '1 second' where id = ${id}`,
    )
    const record = await claimMove(directory, id, 'test', 600_000)
    const fleet = fleetOfMove(this.fleet, record)
    const at = ({ shard, isolation, namespace }: Side): Whereabouts => ({
      tenant: record.tenant,
      shard: accessTo(fleet, shard),
      home: { isolation, namespace },
      tenancy: tenancyOf(fleet),
    })
    return {
      fleet,
      directory,
      tenant: record.tenant,
      record,
      source: at(record.source),
      target: at(record.target),
      report: () => {},
      signal: new AbortController().signal,
    }
  }

  async #superuser(where: Whereabouts): Promise<Client> {
    const { superuserUrl } = this.test.shards.find(({ key }) => key === where.shard.key)!
    const client = await connect(homeUrl(superuserUrl, where))
    const schema = where.home.isolation === 'schema' ? where.home.namespace : 'app'
    await client.query(`set search_path = "${schema}"`)
    return client
  }

  async wayBack({ moving }: FollowedMove): Promise<void> {
    await preparePublication(moving, 'back')
    const slot = await freshSlot(moving, 'back')
    await slot.end()
  }

  caughtUp({ moving, source }: FollowedMove, follower: Follower): Promise<void> {
    return this.#marked(source, moving.record.id, follower)
  }

  caughtBack({ moving, target }: FollowedMove, follower: Follower): Promise<void> {
    return this.#marked(target, moving.record.id, follower)
  }

  async #marked(client: Client, move: string, follower: Follower): Promise<void> {
    this.#marks += 1
    const mark = `test ${this.#marks}`
    await emitMark(client, move, mark)
    await follower.reached(mark)
  }

  async hashes(move: FollowedMove): Promise<[string, string]> {
    const { source, target } = this.#asAnybody(move)
    const [one, other] = await Promise.all(
      [source, target].map((where) => asMover(where)((client) => contentHash(client, where))),
    )
    return [one!.hash, other!.hash]
  }

  async clear(): Promise<void> {
    for (const move of this.#begun.splice(0)) {
      for (const direction of ['forward', 'back'] as const) await removeSlot(this.#asAnybody(move), direction)
      await move.source.end()
      await move.target.end()
    }
  }

  // Not on sessions of the move: its runner may have been replaced.
  #asAnybody({ moving }: FollowedMove): Moving {
    const plain = (where: Whereabouts): Whereabouts => {
      return { ...where, shard: accessTo(this.fleet, where.shard.key) }
    }
    return { ...moving, source: plain(moving.source), target: plain(moving.target) }
  }

  async drop(): Promise<void> {
    await this.clear()
    for (const directory of this.#directories) await directory.end()
    this.#folder.remove()
    await this.test.drop()
  }
}
