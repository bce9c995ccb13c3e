/**
 * The two walls around a tenant's rows, each alone, for both lanes and whole operations: the tenant in the text of
 * every statement, and the shard's policies. Without both, every question here reaches another tenant: in shared
 * tables, whatever the model of the run.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import type { Event } from '../../src/base/events.ts'
import { sql } from '../../src/db/sql.ts'
import { admitShards } from '../../src/shards/admission.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { randomOperation } from '../kit/operations.ts'
import { runRandom } from '../kit/random.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { mentions, unguarded } from '../kit/tenant-predicates.ts'
import { id, type WallQuestion, wallQuestions, wallWrites } from '../kit/wall-questions.ts'
import { type TenantPool, worldSource } from '../kit/world-source.ts'

/** Whether statements are made as if the tenant had been forgotten. */
const mutant = vi.hoisted(() => ({ isOn: false }))

vi.mock('../../src/graphql/plan/fragments.ts', async (original) => {
  const own = await original<typeof import('../../src/graphql/plan/fragments.ts')>()
  const isTenant: typeof own.isTenant = (of, tenant) => (mutant.isOn ? sql`true` : own.isTenant(of, tenant))
  return { ...own, isTenant }
})

let world: World
let tenant: WorldTenant
let other: WorldTenant
/** The second one compiles while the tenant is forgotten. */
let api: WorldApi
let forgetful: WorldApi
let questions: WallQuestion[]

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, isolations: ['shared'] })
  ;[tenant, other] = world.tenants as [WorldTenant, WorldTenant]
  api = await openWorldApi(world)
  forgetful = await openWorldApi(world)
  questions = wallQuestions(other)
})
afterAll(async () => {
  api?.end()
  forgetful?.end()
  await world?.stop()
})
afterEach(() => {
  mutant.isOn = false
})

const TABLES = ['projects', 'tasks', 'invoices', 'labels']
const policies = (state: 'enable' | 'disable') =>
  world.sql(
    tenant.shard,
    TABLES.map((name) => `alter table app.${name} ${state} row level security`).join(';'),
  )

interface Answers {
  readonly asker: WorldTenant
  readonly name: string
  /** Null where the compiled lane leaves the question to the other. */
  readonly compiled: string | null
  readonly resolver: string
}

/** What both tenants are told when each asks for the other's: of two rows where one should be, the first is shown. */
async function allAnswers(from: WorldApi): Promise<Answers[]> {
  const answers: Answers[] = []
  for (const [asker, owner] of [
    [tenant, other],
    [other, tenant],
  ] as const) {
    for (const { name, query, variables } of wallQuestions(owner)) {
      const compiled = (await from.compiled(asker, query, variables)) as string | null
      answers.push({
        asker,
        name,
        compiled,
        resolver: JSON.stringify(await from.run(asker, query, variables)),
      })
    }
  }
  return answers
}
const foreignIn = (answers: readonly Answers[]) =>
  answers.flatMap(({ asker, compiled, resolver }) => world.scanner.scan(asker.id, `${compiled} ${resolver}`))

describe('two walls, each alone', () => {
  let right: Answers[]
  beforeAll(async () => {
    right = await allAnswers(api)
  })

  it('with both of them, the lanes agree, and the compiled one has answered', () => {
    const taken = right.filter(({ compiled }) => compiled !== null)
    expect(taken.length).toBeGreaterThan(right.length - 8)
    for (const { name, compiled, resolver } of taken) expect(compiled, name).toBe(resolver)
    expect(foreignIn(right)).toEqual([])
  })

  it('the tenant in the text, when row-level security is off', async () => {
    await policies('disable')
    try {
      expect(await allAnswers(api)).toEqual(right)
    } finally {
      await policies('enable')
    }
  })

  it('the policies, when the tenant is in no text', async () => {
    mutant.isOn = true
    const { value, ran } = await forgetful.record(() => allAnswers(forgetful))
    const texts = new Set(ran.map(({ text }) => text))
    expect(texts.size).toBeGreaterThan(questions.length)
    for (const statement of ran)
      expect(unguarded(statement, tenant.id, api.model.tables)).toHaveLength(
        mentions(statement, api.model.tables),
      )
    expect(value).toEqual(right)
  })

  it('(b) without both of them every question reaches the other tenant, in both lanes', async () => {
    await policies('disable')
    mutant.isOn = true
    try {
      const wrong = await allAnswers(forgetful)
      for (const { name } of questions) {
        const [before, after] = [right, wrong].map((all) => all.filter((one) => one.name === name))
        for (const lane of ['compiled', 'resolver'] as const)
          expect(
            after!.map((one) => one[lane]),
            `${name}, ${lane}`,
          ).not.toEqual(before!.map((one) => one[lane]))
      }
      expect(foreignIn(wrong).length).toBeGreaterThan(questions.length)
    } finally {
      await policies('enable')
    }
  })
})

describe('a table that has lost its policies while it is served', () => {
  it('raises an alarm, and both lanes refuse it until it is mended', async () => {
    const events: Event[] = []
    const config = loadConfig(world.configFile, {})
    const admission = await admitShards([...api.gate.fleet.values()], config, (event) => events.push(event))
    const projects = '{ projects { totalCount } }'
    try {
      await world.sql(tenant.shard, 'alter table app.tasks disable row level security')
      await admission.lookAgain()
      const refused = { kind: 'table.refused', shard: tenant.shard, table: 'app.tasks' }
      expect(events.at(-1)).toMatchObject(refused)
      for (const { name, query, variables } of questions) {
        const answer = await api.compiled(tenant, query, variables)
        if (query.includes('task')) expect(answer, name).toBe(null)
      }
      const { errors } = await api.run(tenant, questions[0]!.query)
      expect((errors?.[0]?.originalError as Data)?.code).toBe('TABLE_UNSAFE')
      expect(await api.compiled(tenant, projects)).toBe('{"data":{"projects":{"totalCount":8}}}')
    } finally {
      await policies('enable')
      await admission.lookAgain()
      admission.end()
    }
    expect(events.at(-1)).toEqual({ kind: 'table.served', shard: tenant.shard, table: 'app.tasks' })
    expect(await api.compiled(tenant, questions[0]!.query)).toContain('"tasks"')
  })
})

describe('each statement of the lanes', () => {
  it('holds the tenant beside every table that it names, whatever is asked', async () => {
    const random = runRandom().fork('statements')
    const pool = ({ canary, values }: WorldTenant): TenantPool => ({
      ...{ canary, values, cursors: [] },
      ids: [
        ...values.projectIds.map((n) => id('Project', String(n))),
        id('Task', '1'),
        id('Label', '1', 'x'),
      ],
    })
    const source = worldSource(pool(tenant), [pool(other)])
    const counts = { compiled: 0, tables: 0 }
    for (const { query, variables } of wallWrites(other)) {
      const { ran } = await api.record(() => api.compiled(tenant, query, variables))
      for (const statement of ran) expect(unguarded(statement, tenant.id, api.model.tables)).toEqual([])
    }
    for (let i = 0; i < 250; i++) {
      const { query, variables, kind } = randomOperation(
        api.schema,
        i % 5 ? 'query' : 'mutation',
        random,
        source,
      )
      const { ran, value } = await api.record(async () => {
        const answer = await api.compiled(tenant, query, variables)
        if (answer === null && kind === 'mutation') await api.run(tenant, query, variables).catch(() => {})
        return answer
      })
      if (value !== null) counts.compiled++
      for (const statement of ran) {
        expect(unguarded(statement, tenant.id, api.model.tables), statement.text).toEqual([])
        counts.tables += mentions(statement, api.model.tables)
      }
    }
    expect(counts.compiled).toBeGreaterThan(30)
    expect(counts.tables).toBeGreaterThan(200)
  })

  it('and one that is left out is noticed, wherever it stands', async () => {
    const { ran } = await api.record(async () => {
      for (const { query, variables } of questions) {
        await api.compiled(tenant, query, variables)
        await api.run(tenant, query, variables)
      }
    })
    let left = 0
    for (const { text, values } of new Map(ran.map((statement) => [statement.text, statement])).values()) {
      const predicate = /"t\d*"\."tenant_id" = \$\d+::"pg_catalog"\."text"/g
      for (const { 0: found, index } of text.matchAll(predicate)) {
        const without = `${text.slice(0, index)}true${text.slice(index + found.length)}`
        expect(unguarded({ text: without, values }, tenant.id, api.model.tables), without).toHaveLength(1)
        const another =
          text.slice(0, index) + found.replace(/\$\d+/, '$99') + text.slice(index + found.length)
        expect(unguarded({ text: another, values }, tenant.id, api.model.tables), another).toHaveLength(1)
        left++
      }
    }
    expect(left).toBeGreaterThan(40)
  })
})

// Last, for it ends with rows that were changed.
describe('writes, with each wall alone', () => {
  const writeAll = async (from: WorldApi): Promise<void> => {
    for (const { query, variables } of wallWrites(other)) {
      const answer = await from.compiled(tenant, query, variables)
      if (answer === null) await from.run(tenant, query, variables)
    }
  }

  it('leave the rows of others alone', async () => {
    const before = await world.contents(other)
    await policies('disable')
    try {
      await writeAll(api)
    } finally {
      await policies('enable')
    }
    expect(await world.contents(other)).toBe(before)
    mutant.isOn = true
    await writeAll(forgetful)
    expect(await world.contents(other)).toBe(before)
  })

  it('(b) and reach them without either', async () => {
    const before = await world.contents(other)
    await policies('disable')
    mutant.isOn = true
    await writeAll(forgetful).finally(() => policies('enable'))
    expect(await world.contents(other)).not.toBe(before)
  })
})
