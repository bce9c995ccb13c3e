/** Statistics of lists: added up over gateways, bounded, without a value of any tenant, and never in the way. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ListShape } from '../../src/base/list-shape.ts'
import { withClient } from '../../src/db/client.ts'
import {
  readStatistics,
  type StatisticsRecorder,
  statisticsRecorder,
} from '../../src/directory/statistics.ts'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'
import { wireProxy } from '../kit/wire-proxy.ts'

let world: World
let api: WorldApi
const recorders: StatisticsRecorder[] = []
const recorder = (url = world.directoryUrl): StatisticsRecorder => {
  const made = statisticsRecorder({ url })
  recorders.push(made)
  return made
}
const known = () => withClient(world.directoryUrl, readStatistics)
const forget = () => world.sql('directory', 'delete from directory.list_statistic')

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 2 })
  api = await openWorldApi(world)
})
afterAll(async () => {
  for (const made of recorders) made.end()
  api?.end()
  await world?.stop()
})

const shape = (table: string): ListShape => ({
  table,
  parent: null,
  equals: [],
  ranges: [],
  nulls: [],
  matches: [],
  order: [],
})
const list = (table: string, rows = 1) =>
  ({ kind: 'list.done', shard: 'shard-a', list: shape(table), durationMs: 2, rows }) as const

describe('what is counted', () => {
  it('are the lists of operations, by the shard that answered, as shapes without a value', async () => {
    const { manyField, columns, relations } = api.model.tables.find((table) =>
      table.relations.some(({ kind }) => kind === 'many'),
    )!
    const text = columns.find(({ type }) => type.kind === 'text')!
    const children = relations.find(({ kind }) => kind === 'many')!
    const { canary, shard } = world.tenants[1]!
    api.gate.events.length = 0
    await api.data(
      world.tenants[1]!,
      `query ($value: String!) { ${manyField}(filter: { ${text.field}: { neq: $value } }, orderBy: [{ ${text.field}: DESC }]) {
        totalCount nodes { ${children.field}(first: 2) { nodes { __typename } } } } }`,
      { value: `of ${canary.tag}` },
    )
    const events = api.gate.events.filter(({ kind }) => kind === 'list.done')
    const parts = events.map((event) => {
      if (event.kind !== 'list.done' || event.shard !== shard) return 'of another shard'
      const { parent, order } = event.list
      return `${parent ? 'children' : 'root'} by ${order.map(({ column }) => column).join()}`
    })
    expect(parts.sort()).toEqual(['children by id', 'root by ', `root by ${text.name},id`])
    const one = recorder()
    for (const event of api.gate.events) one.listener(event)
    await one.flush()
    const found = await known()
    expect(found).toHaveLength(3)
    for (const { calls, totalMs } of found!) expect([calls, totalMs > 0]).toEqual([1, true])
    expect(JSON.stringify(found)).not.toContain(canary.tag)
    await forget()
  })

  it('is added up, over flushes and over gateways that write at once', async () => {
    const gateways = Array.from({ length: 4 }, () => recorder())
    for (let round = 0; round < 3; round++) {
      for (const one of gateways) {
        for (const table of ['app.b', 'app.a', 'app.c']) one.listener(list(table, 5))
        one.listener(list('app.a', 1))
      }
      await Promise.all(gateways.map((one) => one.flush()))
    }
    const found = (await known())!.map((one) => [one.shape.table, one.calls, one.totalMs, one.rows])
    expect(found.sort()).toEqual([
      ['app.a', 24, 48, 72],
      ['app.b', 12, 24, 60],
      ['app.c', 12, 24, 60],
    ])
    await forget()
  })

  it('is 1,000 shapes between two flushes, and those go on being counted', async () => {
    const one = recorder()
    for (let i = 0; i < 1_500; i++) one.listener(list(`app.t${i}`))
    one.listener(list('app.t0'))
    await one.flush()
    const found = (await known())!
    expect(found).toHaveLength(1_000)
    expect(found.find(({ shape: { table } }) => table === 'app.t0')?.calls).toBe(2)
    await forget()
  })

  it('goes when nobody has asked for a month', async () => {
    const one = recorder()
    one.listener(list('app.old'))
    await one.flush()
    await world.sql('directory', `update directory.list_statistic set seen_at = now() - interval '31 days'`)
    one.listener(list('app.new'))
    await one.flush()
    expect((await known())!.map(({ shape: { table } }) => table)).toEqual(['app.new'])
    await forget()
  })
})

describe('the directory', () => {
  it('that is away, or silent, costs the figures and nothing else', async () => {
    const proxy = await wireProxy(Number(new URL(world.directoryUrl).port))
    try {
      const one = recorder(proxy.url(world.directoryUrl))
      proxy.blackhole()
      one.listener(list('app.lost'))
      await one.flush()
      const away = recorder('postgres://x@127.0.0.1:1/x')
      away.listener(list('app.lost'))
      await away.flush()
      expect(await known()).toEqual([])
    } finally {
      await proxy.close()
    }
  })

  it('that was set up before there were statistics has none', async () => {
    await world.sql('directory', 'alter table directory.list_statistic rename to elsewhere')
    expect(await known()).toBeUndefined()
    await world.sql('directory', 'alter table directory.elsewhere rename to list_statistic')
  })
})
