/** Which tables a tenant has: equal ones are one shape, and every change of them is found, at the latest by what fails. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Config, loadConfig } from '../../src/base/config.ts'
import type { Event } from '../../src/base/events.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { withClient } from '../../src/db/client.ts'
import { tenantRole } from '../../src/directory/namespaces.ts'
import { directoryReader } from '../../src/directory/reader.ts'
import { recordTarget } from '../../src/directory/targets.ts'
import type { Placement } from '../../src/directory/types.ts'
import { fingerprintOfStructure, readStructure } from '../../src/model/structure.ts'
import { type Admission, admitShards } from '../../src/shards/admission.ts'
import { type Recorded, watchRecorded } from '../../src/shards/recorded.ts'
import { openShapes, type Shape, type Shapes } from '../../src/shards/shapes.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const soon = () => deadlineIn(20_000)

let world: World
let config: Config
let gate: WorldDoor
let admission: Admission
let recorded: Recorded
let shapes: Shapes
let prepared: Shape[]
let events: Event[]
let shared: WorldTenant, inSchema: WorldTenant, alike: WorldTenant, inDatabase: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 1, isolations: ['shared', 'schema', 'schema', 'database'] })
  config = loadConfig(world.configFile, {})
  ;[shared, inSchema, alike, inDatabase] = world.tenants as [
    WorldTenant,
    WorldTenant,
    WorldTenant,
    WorldTenant,
  ]
})
afterAll(() => world?.stop())

beforeEach(async () => {
  events = []
  await world.sql('directory', 'delete from directory.target')
  gate = await openWorldDoor(world, undefined, false)
})
afterEach(() => {
  admission.end()
  recorded.end()
  gate.end()
})

/** As the gateway does it. */
async function open(): Promise<void> {
  const emit = (event: Event): void => void events.push(event)
  const reader = directoryReader({ url: config.directory.url })
  recorded = await watchRecorded(reader.structures)
  const endRecorded = recorded.end
  recorded = {
    ...recorded,
    end() {
      endRecorded()
      reader.end()
    },
  }
  admission = await admitShards([...gate.fleet.values()], config, emit, recorded)
  prepared = []
  const prepare = (shape: Shape): void => void prepared.push(shape)
  shapes = openShapes({ shards: gate.fleet, config: () => config, recorded, admission, prepare, emit })
}

const placementOf = async ({ id }: WorldTenant): Promise<Placement> => (await gate.placements.find(id))!
const shapeOf = async (tenant: WorldTenant): Promise<Shape> => shapes.of(await placementOf(tenant), soon())
const renewed = async (tenant: WorldTenant, used: Shape): Promise<Shape> =>
  shapes.renewed(await placementOf(tenant), used, soon())
const looks = (): number => events.filter(({ kind }) => kind === 'place.served').length
const columnsOf = ({ model }: Shape, id = 'app.labels'): string[] | undefined =>
  model.tables.find((table) => table.id === id)?.columns.map(({ name }) => name)

/** Change a tenant's own tables. */
const change = (tenant: WorldTenant, text: (schema: string) => string): Promise<unknown> => {
  const { superuserUrl, schema } = world.homeOf(tenant)
  return withClient(superuserUrl, (client) => client.query(text(schema)))
}

/** Write into the directory what a place has now, as a migration does. */
async function record(tenant: WorldTenant): Promise<void> {
  const { superuserUrl, schema } = world.homeOf(tenant)
  const placement = await placementOf(tenant)
  const [shard] = [...gate.fleet.values()]
  const appRole = placement.isolation === 'schema' ? tenantRole(shard!.id, tenant.id) : 'shardgate_app'
  const lines = await withClient(superuserUrl, (client) =>
    readStructure(client, { schemas: [schema], appRole }),
  )
  const owner = placement.isolation === 'shared' ? null : tenant.id
  await withClient(world.directoryUrl, (directory) =>
    recordTarget(
      directory,
      { ...placement, tenant: owner },
      { version: '1', applied: 'x', structure: { fingerprint: fingerprintOfStructure(lines), lines } },
    ),
  )
}

describe('tenants whose tables are equal', () => {
  beforeEach(open)

  it('have one shape, in whichever of the three models they are', async () => {
    const found = await Promise.all(world.tenants.map(shapeOf))
    expect(new Set(found).size).toBe(1)
    expect(prepared).toEqual([shapes.main])
  })

  it('are known at once from then on', async () => {
    await shapeOf(inSchema)
    expect(shapes.of(await placementOf(inSchema), soon())).toBe(shapes.main)
    expect(looks()).toBe(1)
  })

  it('are looked at once by all who ask at the same time', async () => {
    await Promise.all(Array.from({ length: 20 }, () => shapeOf(inDatabase)))
    expect(looks()).toBe(1)
  })
})

describe('what the directory says', () => {
  it('is enough where another place of the same structure is known', async () => {
    for (const tenant of [inSchema, alike]) await record(tenant)
    await open()
    await shapeOf(inSchema)
    expect(shapes.of(await placementOf(alike), soon())).toBe(shapes.main)
    expect(looks()).toBe(1)
  })

  it('leads to a new look where it changes, at that place alone', async () => {
    for (const tenant of [inSchema, alike]) await record(tenant)
    await open()
    const [old] = await Promise.all([inSchema, alike].map(shapeOf))
    await change(inSchema, (schema) => `alter table "${schema}".labels add column later text`)
    try {
      await recorded.look()
      expect(await shapeOf(inSchema)).toBe(old)
      await record(inSchema)
      await recorded.look()
      await expect.poll(async () => columnsOf(await shapeOf(inSchema))).toContain('later')
      expect(await shapeOf(alike)).toBe(old)
    } finally {
      await change(inSchema, (schema) => `alter table "${schema}".labels drop column later`)
    }
  })

  it('is not believed of a place that was looked at and is otherwise', async () => {
    await record(inSchema)
    await record(alike)
    await change(inSchema, (schema) => `alter table "${schema}".labels add column later text`)
    try {
      await open()
      expect(columnsOf(await shapeOf(inSchema))).toContain('later')
      expect(columnsOf(await shapeOf(alike))).not.toContain('later')
    } finally {
      await change(inSchema, (schema) => `alter table "${schema}".labels drop column later`)
    }
  })
})

describe('a home that was made a moment ago', () => {
  beforeEach(open)

  it('is known without a look where its structure is, also before anybody has read of it', async () => {
    await record(inSchema)
    await shapeOf(inSchema)
    await record(alike)
    expect(await shapeOf(alike)).toBe(shapes.main)
    expect(looks()).toBe(1)
  })

  it('is looked at before anybody asks where nobody knows its structure', async () => {
    await record(inDatabase)
    await recorded.look()
    await expect.poll(looks).toBe(1)
    expect(shapes.of(await placementOf(inDatabase), soon())).toBe(shapes.main)
  })
})

describe('a statement that fails as if its tables had changed', () => {
  beforeEach(open)

  it('leads to a look at once, whatever the directory says', async () => {
    for (const tenant of [shared, inSchema, inDatabase]) {
      const used = await shapeOf(tenant)
      await change(tenant, (schema) => `alter table "${schema}".projects rename column logo to sign`)
      try {
        const fresh = await renewed(tenant, used)
        expect([tenant.isolation, columnsOf(fresh, 'app.projects')]).toEqual([
          tenant.isolation,
          expect.arrayContaining(['sign']),
        ])
        expect(await shapeOf(tenant)).toBe(fresh)
      } finally {
        await change(tenant, (schema) => `alter table "${schema}".projects rename column sign to logo`)
        await renewed(tenant, await shapeOf(tenant))
      }
    }
  })

  it('leads to one look a second where nothing has changed', async () => {
    const used = await shapeOf(inSchema)
    const before = await statements()
    for (let i = 0; i < 5; i++) expect(await renewed(inSchema, used)).toBe(used)
    expect((await statements()) - before).toBe(1)
  })

  const statements = async (): Promise<number> => {
    // Each look connects once.
    const [row] = await world.sql(
      'directory',
      `select sum(sessions)::int as n from pg_stat_database where datname = '${new URL(world.shards[0]!.superuserUrl).pathname.slice(1)}'`,
    )
    return Number(row?.n)
  }
})

describe('a place that cannot be served', () => {
  beforeEach(open)

  it('is refused alone, and told once a second', async () => {
    const gone = { ...(await placementOf(inDatabase)), namespace: 'shardgate_nowhere' }
    const refused = { code: 'SHARD_UNAVAILABLE' }
    for (let i = 0; i < 3; i++) await expect(shapes.of(gone, soon())).rejects.toMatchObject(refused)
    expect(events.filter(({ kind }) => kind === 'place.refused')).toHaveLength(1)
    expect(await shapeOf(inDatabase)).toBe(shapes.main)
  })

  it('is nothing to tell of once all is being closed', async () => {
    const gone = { ...(await placementOf(inDatabase)), namespace: 'shardgate_nowhere' }
    const looking = Promise.resolve(shapes.of(gone, soon())).catch((error: unknown) => error)
    shapes.end()
    expect(await looking).toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect(events.filter(({ kind }) => kind === 'place.refused')).toEqual([])
  })

  it('is refused when it is another shard', async () => {
    await change(inDatabase, () => 'update shardgate.identity set id = gen_random_uuid()')
    try {
      await expect(shapeOf(inDatabase)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
      expect(events).toContainEqual(
        expect.objectContaining({
          kind: 'place.refused',
          reason: expect.stringContaining('the directory has'),
        }),
      )
    } finally {
      const [shard] = [...gate.fleet.values()]
      await change(inDatabase, () => `update shardgate.identity set id = '${shard!.id}'`)
    }
  })

  it('serves its other tables where one is not safe', async () => {
    await change(inDatabase, (schema) => `alter table "${schema}".labels no force row level security`)
    try {
      const { model } = await shapeOf(inDatabase)
      expect(model.tables.map(({ id }) => id)).toEqual(['app.invoices', 'app.projects', 'app.tasks'])
      expect(events).toContainEqual(
        expect.objectContaining({
          kind: 'place.refused',
          reason: expect.stringMatching(/^app\.labels: row-level/),
        }),
      )
    } finally {
      await change(inDatabase, (schema) => `alter table "${schema}".labels force row level security`)
    }
  })
})
