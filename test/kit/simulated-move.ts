/**
 * A move of a tenant of the world as gateways meet it, each of its moments by itself: what a mover does to fences,
 * directory and rows, in plain SQL.
 *
 *     prepare ─▶ freeze ─▶ copy ─▶ relocate ─▶ close ─▶ open        thaw: instead of all after `freeze`
 */

import pg from 'pg'
import { makePlace, makeTables, namespaceOf, removeHome } from '../../src/control/homes/home.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { tenantRole } from '../../src/directory/namespaces.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { WORLD_FOLDER } from './homes.ts'
import type { World, WorldTenant } from './shard-fixture.ts'
import { WORLD_TABLES } from './world-rows.ts'

/** One end of a move. */
export interface Post {
  readonly shard: string
  readonly isolation: Isolation
}

export interface SimulatedMove {
  /** The target's home, with its fence frozen at the next epoch. */
  prepare(): Promise<void>
  /** Hold writes: behind it there is none of the tenant on the source. */
  freeze(): Promise<void>
  /** Hold the tenant's lock alone until what it gives is called. */
  lock(): Promise<() => Promise<unknown>>
  thaw(): Promise<void>
  copy(): Promise<void>
  /** The commit point. */
  relocate(): Promise<void>
  /** The source's fence: moved. Where both have one fence, `open` does both. */
  close(): Promise<void>
  open(): Promise<void>
  /** All of them. */
  run(): Promise<void>
  /** Rows of the tenant on one end, as text: equal as long as nobody writes there. */
  contents(end: 'source' | 'target'): Promise<string>
  /** Run a statement on the target, as superuser. @param text  of the schema there */
  onTarget(text: (schema: string) => string): Promise<unknown>
  /** What is left on the source goes: the home, or for shared tables the rows. */
  clean(): Promise<void>
  end(): Promise<void>
}

interface End extends Post {
  readonly namespace: string
  readonly schema: string
  readonly role: string | null
  readonly client: pg.Client
}

/** @param epoch  of the tenant now; the move takes it to the next one */
export async function simulateMove(
  world: World,
  tenant: Pick<WorldTenant, 'id'>,
  { from, to, epoch }: { from: Post; to: Post; epoch: number },
): Promise<SimulatedMove> {
  const { id } = tenant
  const fleet: Fleet = {
    directoryUrl: world.directoryUrl,
    strategy: 'modulo',
    shards: world.shards.map(({ key, ownerUrl, appUrl }) => ({ key, weight: 1, url: ownerUrl, appUrl })),
    tenancy: { column: 'tenant_id', schemas: [world.schema] },
    migrations: WORLD_FOLDER,
  }
  const next = epoch + 1
  const source = await endOf(world, id, from)
  let opened: End | undefined
  const target = (): End => opened!
  const isOneFence = from.shard === to.shard && from.isolation !== 'database' && to.isolation !== 'database'
  const fence = ({ client }: End, text: string, values: unknown[] = []) =>
    client.query(`update shardgate.tenant_fence set ${text} where tenant_id = $1`, [id, ...values])
  const onDirectory = async (work: (client: pg.Client) => Promise<unknown>): Promise<void> => {
    const client = await connected(world.directoryUrl)
    await work(client).finally(() => client.end())
  }

  const move: SimulatedMove = {
    async prepare() {
      const home = { ...to, tenant: tenant.id, namespace: await namespaceAt(world, id, to), epoch: next }
      await makePlace(fleet, { ...home, state: 'frozen' })
      await makeTables(fleet, { ...home, state: 'frozen' })
      opened = await endOf(world, id, to)
      if (isOneFence) return
      await opened.client.query(
        `insert into shardgate.tenant_fence (tenant_id, state, epoch, role) values ($1, 'frozen', $2, $3)
         on conflict (tenant_id) do update set state = 'frozen', epoch = excluded.epoch, role = excluded.role`,
        [id, next, opened.role],
      )
    },
    async freeze() {
      const free = await move.lock()
      await fence(source, `state = 'frozen'`)
      await free()
    },
    async lock() {
      await source.client.query('begin')
      await source.client.query('select pg_advisory_xact_lock(shardgate.tenant_lock($1))', [id])
      return () => source.client.query('commit')
    },
    thaw: async () => void (await fence(source, `state = 'active'`)),
    async copy() {
      const { client, schema } = target()
      await client.query(`set session_replication_role = replica`)
      for (const table of WORLD_TABLES.toReversed())
        await client.query(`delete from "${schema}".${table} where tenant_id = $1`, [id])
      for (const table of WORLD_TABLES) {
        const { rows } = await source.client.query(
          `select to_jsonb(t) as row from "${source.schema}".${table} t where tenant_id = $1`,
          [id],
        )
        await client.query(
          `insert into "${schema}".${table} select * from jsonb_populate_recordset(null::"${schema}".${table}, $1)`,
          [JSON.stringify(rows.map(({ row }) => row))],
        )
      }
    },
    relocate: () =>
      onDirectory(async (client) => {
        await client.query('begin')
        await client.query(
          'update directory.tenant set epoch = $2, changed_at = clock_timestamp() where id = $1',
          [id, next],
        )
        await client.query(
          `insert into directory.placement (tenant_id, shard, isolation, namespace) values ($1, $2, $3, $4)
           on conflict (tenant_id) do update
             set shard = excluded.shard, isolation = excluded.isolation, namespace = excluded.namespace`,
          [id, to.shard, to.isolation, target().namespace],
        )
        await client.query('commit')
      }),
    async close() {
      if (!isOneFence) await fence(source, `state = 'moved', epoch = $2`, [next])
    },
    open: async () =>
      void (await fence(target(), `state = 'active', epoch = $2, role = $3`, [next, target().role])),
    async run() {
      await move.prepare()
      await move.freeze()
      await move.copy()
      await move.relocate()
      await move.close()
      await move.open()
    },
    onTarget: (text) => target().client.query(text(`"${target().schema}"`)),
    contents: (end) => contentsOf(end === 'source' ? source : target(), id),
    async clean() {
      if (from.isolation === 'database') {
        await source.client.end()
        return removeHome(fleet, { tenant: tenant.id, ...source, epoch, state: 'active' })
      }
      if (from.isolation === 'schema') {
        await source.client.query(`drop schema "${source.schema}" cascade`)
        await source.client.query('delete from shardgate.migration where namespace = $1', [source.schema])
      } else
        for (const table of WORLD_TABLES.toReversed())
          await source.client.query(`delete from "${source.schema}".${table} where tenant_id = $1`, [id])
    },
    async end() {
      await source.client.end()
      await opened?.client.end()
    },
  }
  return move
}

async function endOf(world: World, id: WorldTenant['id'], post: Post): Promise<End> {
  const namespace = await namespaceAt(world, id, post)
  const { superuserUrl } = world.shards.find(({ key }) => key === post.shard)!
  const client = await connected(
    post.isolation === 'database' ? databaseUrl(superuserUrl, namespace) : superuserUrl,
  )
  const schema = post.isolation === 'schema' ? namespace : world.schema
  const role = post.isolation === 'schema' ? tenantRole(await shardIdOf(world, post.shard), id) : null
  return { ...post, namespace, schema, role, client }
}

async function namespaceAt(
  world: World,
  tenant: WorldTenant['id'],
  { shard, isolation }: Post,
): Promise<string> {
  return namespaceOf(isolation, { tenant, shardId: await shardIdOf(world, shard), shared: world.schema })
}

async function shardIdOf(world: World, key: string): Promise<string> {
  const { superuserUrl } = world.shards.find((shard) => shard.key === key)!
  const client = await connected(superuserUrl)
  const { rows } = await client.query<{ id: string }>('select id from shardgate.identity')
  await client.end()
  return rows[0]!.id
}

async function contentsOf({ client, schema }: End, id: string): Promise<string> {
  const texts: string[] = []
  for (const table of WORLD_TABLES) {
    const { rows } = await client.query<{ text: string }>(
      `select t::text as text from "${schema}".${table} t where tenant_id = $1 order by 1`,
      [id],
    )
    texts.push(...rows.map(({ text }) => `${table} ${text}`))
  }
  return texts.join('\n')
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  return client
}
