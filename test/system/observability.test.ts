/**
 * What a gateway shows of itself: metrics under the names that dashboards, alerts and docs/observability.md know,
 * traces, log lines without a secret, and explanations for operators alone.
 */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { commandLine } from '../../src/commands/program.ts'
import { listedFamilies } from '../docs/observability-page.ts'
import { logged } from '../kit/gateway.ts'
import { type Observed, startObserved } from '../kit/observed.ts'
import { readScrape, type Scrape, strangersIn } from '../kit/promql.ts'
import type { WorldTenant } from '../kit/shard-fixture.ts'

const TOP = join(import.meta.dirname, '../..')
const FOLDER = join(TOP, 'examples/observability')
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const TASKS =
  'query Tasks($title: String!) { tasks(first: 2, filter: { title: { startsWith: $title } }) { nodes { id title } } }'
/** The compiled lane leaves this one to the resolvers. */
const BOTH = 'query Both { currentTenant { id } tasks(first: 2) { nodes { id title } } }'

let observed: Observed
let tenants: readonly [WorldTenant, WorldTenant, WorldTenant]
beforeAll(async () => {
  // Nobody listens on that port: a Redis that is away is shown as well as one that answers.
  observed = await startObserved({
    limits: { depth: 5 },
    metrics: { topTenants: 2 },
    cache: { tables: { 'app.labels': { ttlMs: 60_000 } } },
    redis: { url: 'redis://127.0.0.1:1' },
  })
  tenants = observed.world.tenants as unknown as typeof tenants
})
afterAll(() => observed?.stop())

const titlesOf = ({ canary }: WorldTenant) => ({ query: TASKS, variables: { title: canary.text('task-') } })

describe('extensions.explain', () => {
  const EXPLAIN = { 'x-shardgate-explain': '1' }

  it('tells an operator where and how an operation of the compiled lane ran', async () => {
    const [tenant] = tenants
    const { json, text } = await observed.ask(tenant, titlesOf(tenant), EXPLAIN, ['admin', 'operator'])
    expect(json.data.tasks.nodes).toHaveLength(2)
    const { explain } = json.extensions
    expect(explain).toMatchObject({
      ...{
        tenant: tenant.id,
        shard: tenant.shard,
        epoch: 1,
        isolation: 'shared',
        lane: 'compiled',
        cache: null,
      },
      statements: [{ batch: 1, shard: tenant.shard, mode: 'read', rows: expect.any(Number) }],
    })
    expect(explain.statements[0].sql).toMatch(/^select .*"tasks"/s)
    expect(explain.statements[0].milliseconds).toBeLessThanOrEqual(explain.milliseconds)
    expect(explain.cost.requested).toBeGreaterThan(0)
    expect(text.slice(text.indexOf('"explain"'))).not.toContain(tenant.canary.tag)
  })

  it('tells the same of an operation that resolvers run, and of a mutation', async () => {
    const [tenant] = tenants
    const read = await observed.ask(tenant, { query: BOTH }, EXPLAIN, ['admin', 'operator'])
    expect(read.json.extensions.explain).toMatchObject({ tenant: tenant.id, lane: 'resolver', rows: 3 })
    const query = `mutation { updateTask(id: "${await taskId(tenant)}", patch: { done: true }) { __typename } }`
    const written = await observed.ask(tenant, { query }, EXPLAIN, ['admin', 'operator'])
    expect(written.json.extensions.explain.statements[0]).toMatchObject({ mode: 'write' })
  })

  it('tells nobody else: without the role the request is refused, and without the header nothing is said', async () => {
    const [tenant] = tenants
    for (const roles of [['viewer'], ['member'], ['admin']] as const) {
      const refused = await observed.ask(tenant, titlesOf(tenant), EXPLAIN, [...roles])
      expect(refused.status).toBe(403)
      expect(refused.json.errors[0].extensions.code).toBe('FORBIDDEN')
      expect(refused.text).not.toMatch(/shard-|select/)
    }
    const silent = await observed.ask(tenant, titlesOf(tenant), {}, ['admin', 'operator'])
    expect(silent.json.extensions).toBeUndefined()
  })

  it('says whether the cache had the answer, which is kept without it', async () => {
    const [tenant] = tenants
    const ask = (headers: Record<string, string>) =>
      observed.ask(tenant, { query: '{ labels(first: 2) { nodes { word } } }' }, headers, [
        'admin',
        'operator',
      ])
    const first = await ask(EXPLAIN)
    expect(first.json.extensions.explain).toMatchObject({ cache: 'miss', statements: [{ mode: 'read' }] })
    expect((await ask(EXPLAIN)).json.extensions.explain).toMatchObject({
      cache: 'hit',
      rows: 0,
      statements: [],
    })
    expect((await ask({})).json).toEqual({ data: first.json.data })
  })

  it('is not kept with the answer for whoever repeats it', async () => {
    const [tenant] = tenants
    const body = {
      query: `mutation { updateTask(id: "${await taskId(tenant)}", patch: { done: false }) { __typename } }`,
    }
    const key = { 'idempotency-key': 'a-key-for-once' }
    const first = await observed.ask(tenant, body, { ...key, ...EXPLAIN }, ['admin', 'operator'])
    expect(first.json.extensions.explain.tenant).toBe(tenant.id)
    const again = await observed.ask(tenant, body, key, ['admin', 'operator'])
    expect(again.json).toEqual({ data: first.json.data })
  })

  async function taskId(tenant: WorldTenant): Promise<string> {
    const { json } = await observed.ask(tenant, titlesOf(tenant))
    return json.data.tasks.nodes[0].id
  }
})

describe('a trace', () => {
  it('goes on from the caller, by the request and the operation to the statements', async () => {
    const [tenant] = tenants
    const { requestId } = await observed.ask(tenant, titlesOf(tenant), {
      traceparent: `00-${TRACE}-${SPAN}-01`,
      tracestate: 'vendor=1',
    })
    const [statement, operation, request] = await observed.spansOf(TRACE)
    expect(request).toMatchObject({ name: 'POST /graphql', parentId: SPAN })
    expect(request?.attributes).toMatchObject({
      ...{
        'shardgate.request_id': requestId,
        'shardgate.tenant': tenant.id,
        'http.response.status_code': 200,
      },
    })
    expect(operation).toMatchObject({ name: 'query Tasks', parentId: request?.spanId })
    expect(operation?.attributes).toMatchObject({ 'shardgate.lane': 'compiled' })
    expect(statement).toMatchObject({ name: `${tenant.shard} read`, parentId: operation?.spanId })
    expect(statement?.attributes['db.query.text']).toMatch(/^select .*"tasks"/s)
    const times = [request, operation, statement].map((span) => span!.startTime)
    expect([...times].sort((a, b) => a - b)).toEqual(times)
    for (const span of [request, operation, statement])
      expect(span!.endTime).toBeGreaterThanOrEqual(span!.startTime)
  })

  it('has the same shape where resolvers run the operation', async () => {
    const trace = TRACE.replace('0', 'f')
    await observed.ask(tenants[0], { query: BOTH }, { traceparent: `00-${trace}-${SPAN}-01` })
    const names = (await observed.spansOf(trace)).map(({ name }) => name)
    expect(names).toEqual([`${tenants[0].shard} read`, 'query Both', 'POST /graphql'])
  })

  it('is told to the shard, by the application_name of the transaction', async () => {
    const { proxy } = observed.world.shards.find(({ key }) => key === tenants[0].shard)!
    expect(proxy!.statements.some((text) => text.includes("'shardgate trace='"))).toBe(true)
  })

  it('is not recorded where the caller does not', async () => {
    const trace = TRACE.replace('0', 'e')
    const before = observed.spans().length
    const { requestId } = await observed.ask(tenants[0], titlesOf(tenants[0]), {
      traceparent: `00-${trace}-${SPAN}-00`,
    })
    await expect.poll(() => lineOf(requestId)).toMatchObject({ traceId: trace })
    expect(observed.spans().length).toBe(before)
  })

  it.each(['nonsense', `00-${TRACE}-${SPAN}`, `00-${'0'.repeat(32)}-${SPAN}-01`])(
    'begins anew where the header is not well formed: %s',
    async (traceparent) => {
      const { requestId, status } = await observed.ask(tenants[0], titlesOf(tenants[0]), { traceparent })
      expect(status).toBe(200)
      await expect.poll(() => lineOf(requestId)?.traceId).toMatch(/^[0-9a-f]{32}$/)
      const { traceId } = lineOf(requestId)
      expect(traceId).not.toBe(TRACE)
      const spans = await observed.spansOf(traceId)
      expect(spans.find(({ kind }) => kind === 1)?.parentId).toBeNull()
    },
  )
})

const lineOf = (id: string) =>
  logged(observed.gateway, 'request.done').find(({ requestId }) => requestId === id)

describe('the log', () => {
  it('names request and tenant in each line about a request', async () => {
    const [tenant] = tenants
    const { requestId } = await observed.ask(tenant, titlesOf(tenant), { 'x-request-id': 'mine-1' })
    expect(requestId).toBe('mine-1')
    await expect.poll(() => lineOf('mine-1')).toMatchObject({ tenant: tenant.id, shard: tenant.shard })
    const statements = logged(observed.gateway, 'statement.done')
    expect(statements.filter((line) => line.requestId === 'mine-1')).toMatchObject([{ tenant: tenant.id }])
    expect(statements.filter((line) => line.requestId !== undefined && line.tenant === undefined)).toEqual([])
  })

  it('holds nothing secret, whatever is asked, and no value of anybody', async () => {
    const { world } = observed
    const [tenant, other] = tenants
    const secret = 'hush-hush-4711'
    const text = tenant.canary.text('project-1')
    // A fault that nobody expects, in the words of Postgres: the log has it whole, but for what it quotes.
    await world.sql(
      tenant.shard,
      `create function app.fault() returns trigger language plpgsql as
         $$ begin raise exception 'invalid thing: "%"', new.title using errcode = 'XX001'; end $$`,
    )
    await world.sql(
      tenant.shard,
      'create trigger fault before insert on app.tasks for each row execute function app.fault()',
    )
    const projectId = String(tenant.canary.number(1))
    const byName = `projects(filter: { name: { eq: "${text}" } })`
    const bodies = [
      { query: `{ ${byName} { nodes { id name } } }` },
      { query: `{ ${byName} { nodes { nowhere } } }` },
      { query: 'query ($id: BigInt!) { projectBy(rowId: $id) { name } }', variables: { id: text } },
      {
        query: 'mutation ($input: CreateTaskInput!) { createTask(input: $input) { __typename } }',
        variables: { input: { rowId: 900, projectId, title: text } },
      },
      {
        query: 'mutation ($input: CreateProjectInput!) { createProject(input: $input) { __typename } }',
        variables: { input: { rowId: projectId, name: text } },
      },
      { query: `query Q_${secret.replaceAll('-', '_')} { __typename }`, extensions: { password: secret } },
      { query: `{ node(id: "${Buffer.from(text).toString('base64')}") { id } }` },
      `{"query": "{ tasks { ${secret} `,
    ]
    for (const body of bodies) {
      const headers = {
        'x-request-id': `${secret}\u00e9`,
        traceparent: secret,
        cookie: `session=${secret}`,
        'idempotency-key': secret,
      }
      await observed.ask(tenant, body, headers)
    }
    const ask = (authorization: string) =>
      fetch(observed.gateway.url, { method: 'POST', headers: { authorization } })
    for (const authorization of [`Bearer ${secret}`, `Basic ${secret}`, `Bearer a.${secret}.c`])
      await ask(authorization)
    await observed.ask(other, titlesOf(tenant))
    const { requestId } = await observed.ask(tenant, '{}')
    await expect.poll(() => lineOf(requestId)).toBeDefined()
    const output = observed.gateway.output()
    expect(
      logged(observed.gateway, 'request.failed').map(({ error }) => error.cause?.code ?? error.code),
    ).toContain('XX001')
    for (const { traceId } of logged(observed.gateway, 'request.failed'))
      expect(traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(world.scanner.scan(null, output)).toEqual([])
    const passwords = world.shards.map(({ appUrl }) => new URL(appUrl).password).filter((word) => word !== '')
    for (const word of [world.secret, ...passwords]) expect(output).not.toContain(word)
    expect(output.replaceAll(/"operation":"[^"]*"/g, '')).not.toMatch(/hush.hush/)
    expect(output).not.toMatch(/eyJ[\w-]+\.|Bearer \S/)
  })

  it('and no span holds one either', () => {
    const text = JSON.stringify(observed.spans())
    expect(observed.spans().length).toBeGreaterThan(20)
    expect(observed.world.scanner.scan(null, text)).toEqual([])
    expect(text.replaceAll(/query Q_hush_hush_4711|"Q_hush_hush_4711"/g, '')).not.toMatch(/hush.hush/)
  })
})

describe('metrics', () => {
  let text: string
  let scrape: Scrape

  beforeAll(async () => {
    const { world } = observed
    const [first, lost, third] = tenants
    await observed.ask(third, titlesOf(third))
    // Limits of two kinds, a move that does not get on, a migration that has failed in one place, and a shard that is away.
    const deep = '{ projects { nodes { tasks { nodes { project { tasks { nodes { id } } } } } } } }'
    expect((await observed.ask(first, { query: deep })).json.errors[0].extensions.code).toBe(
      'QUERY_TOO_COMPLEX',
    )
    await world.sql(
      'directory',
      `update directory.tenant set limits = '{"requestsPerMinute":2}' where id = $1`,
      [third.id],
    )
    for (let code = ''; code !== 'RATE_LIMITED'; ) {
      const { json } = await observed.ask(third, titlesOf(third))
      code = json.errors?.[0].extensions.code
    }
    await world.sql(
      'directory',
      `insert into directory.move (tenant_id, from_shard, from_isolation, from_namespace, from_epoch, to_shard,
         to_isolation, to_namespace, state, error, operator)
       values ($1, 'shard-a', 'shared', 'app', 1, 'shard-b', 'shared', 'app', 'claimed', 'stuck', 'test')`,
      [first.id],
    )
    await world.sql(
      'directory',
      `insert into directory.target (shard, isolation, namespace, version, error)
       values ('shard-a', 'shared', 'app', '20260102000000', null), ('shard-b', 'shared', 'app', '20260101000000', 'failed')`,
    )
    const { proxy } = world.shards.find(({ key }) => key === lost.shard)!
    await proxy!.refuse()
    proxy!.cut()
    while (!(await observed.metrics()).includes(`gateway_shard_up{shard="${lost.shard}"} 0`))
      await observed.ask(lost, titlesOf(lost))
    text = await observed.metrics()
    scrape = readScrape(text)
  })

  it('show what has happened', () => {
    const valuesOf = (metric: string, label: string) => scrape.series.get(metric)?.get(label)
    expect(valuesOf('gateway_operation_duration_seconds_bucket', 'lane')).toEqual(
      new Set(['compiled', 'resolver']),
    )
    expect(valuesOf('gateway_shard_pool_connections', 'state')).toEqual(new Set(['shared', 'held', 'idle']))
    expect(valuesOf('gateway_tenants', 'state')).toEqual(new Set(['active']))
    const codes = valuesOf('gateway_request_errors_total', 'code')
    expect([...(codes ?? [])]).toEqual(
      expect.arrayContaining(['QUERY_TOO_COMPLEX', 'RATE_LIMITED', 'FORBIDDEN']),
    )
    expect(valuesOf('gateway_limited_total', 'reason')).toEqual(new Set(['requests']))
    expect(valuesOf('gateway_tenant_requests_total', 'tenant')?.size).toBe(3)
    expect(valuesOf('gateway_tenant_requests_total', 'tenant')).toContain('other')
    for (const line of [
      'gateway_migrations_pending{shard="shard-a"} 0',
      'gateway_migrations_pending{shard="shard-b"} 1',
      'gateway_migrations_failed{shard="shard-b"} 1',
      'gateway_moves{state="claimed"} 1',
      'gateway_tenants_active 3',
      'gateway_directory_up 1',
    ])
      expect(text.split('\n')).toContain(line)
    expect(valuesOf('gateway_moves_failing', 'state')).toEqual(new Set(['claimed']))
  })

  it('are listed in docs/observability.md, each with its type and its labels', () => {
    const own = [...scrape.families].filter(([name]) => !/^(process|nodejs)_/.test(name))
    const listed = listedFamilies()
    expect(own.map(([name, type]) => `${name} ${type}`).sort()).toEqual(
      [...listed].map(([name, { type }]) => `${name} ${type}`).sort(),
    )
    for (const [name, { type, labels }] of listed) {
      const series = scrape.series.get(type === 'histogram' ? `${name}_count` : name)
      if (series) expect([...series.keys()].sort(), name).toEqual([...labels].sort())
    }
  })

  it('are there wherever a page names one', () => {
    const pages = ['README.md', ...globSync('docs/*.md', { cwd: TOP })]
    const named = pages.flatMap(
      (page) => readFileSync(join(TOP, page), 'utf8').match(/\bgateway_[a-z_]+/g) ?? [],
    )
    expect(named.length).toBeGreaterThan(50)
    expect(named.filter((name) => !scrape.families.has(name))).toEqual([])
  })

  /** A family that has counted nothing yet has the labels of the list: nothing was cached, no job ran. */
  const known = (): Scrape => {
    const series = new Map(scrape.series)
    for (const [name, { type, labels }] of listedFamilies()) {
      const parts = type === 'histogram' ? ['_bucket', '_count', '_sum'].map((part) => name + part) : [name]
      const all = type === 'histogram' ? [...labels, 'le'] : labels
      for (const part of parts) {
        if (!series.has(part)) series.set(part, new Map(all.map((label) => [label, new Set(SILENT)])))
      }
    }
    return { ...scrape, series }
  }
  /** Values that a dashboard may look for and this test does not make happen. */
  const SILENT = ['failed', 'OVERLOADED']

  const alerts = parse(readFileSync(join(FOLDER, 'alerts.yml'), 'utf8')).groups.flatMap(
    ({ rules }: { rules: object[] }) => rules,
  ) as { alert: string; expr: string; annotations: { summary: string; description: string } }[]

  it.each(alerts.map(({ alert, expr }) => [alert, expr]))(
    'are those that the alert %s asks for',
    (_, expr) => {
      expect(strangersIn(expr, withCodes(known()))).toEqual([])
    },
  )

  /** Codes are those of the error table. */
  const withCodes = ({ families, series }: Scrape): Scrape => {
    const codes = new Map([...(series.get('gateway_request_errors_total') ?? [])])
    codes.set('code', new Set([...(codes.get('code') ?? []), 'OVERLOADED']))
    const keys = new Map([['result', new Set(['read', 'failed'])]])
    return {
      families,
      series: new Map([
        ...series,
        ['gateway_request_errors_total', codes],
        ['gateway_token_keys_total', keys],
      ]),
    }
  }

  const dashboards = globSync('grafana/dashboards/*.json', { cwd: FOLDER }).map((file) =>
    JSON.parse(readFileSync(join(FOLDER, file), 'utf8')),
  )
  const panels = dashboards.flatMap(({ panels }) =>
    panels.filter(({ type }: { type: string }) => type !== 'row'),
  )

  it.each(panels.flatMap(({ title, targets }) => targets.map(({ expr }: { expr: string }) => [title, expr])))(
    'are those that the panel "%s" shows',
    (_, expr) => {
      expect(strangersIn(expr, withCodes(known()))).toEqual([])
    },
  )

  it('have the labels that the variables of the dashboard list', () => {
    for (const { definition } of dashboards.flatMap(({ templating }) => templating.list)) {
      const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? []
      expect(strangersIn(`sum by (${label}) (${metric})`, scrape)).toEqual([])
    }
  })

  it('are shown and alerted on: each panel has its own place, and each alert says what to do', () => {
    const ids = panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length)
    const verbs = commandLine({ out() {}, err() {}, colour: false }, () =>
      Promise.reject(new Error('not run')),
    ).commands
    for (const { alert, annotations } of alerts) {
      expect(annotations.summary, alert).toMatch(/\.$/)
      for (const [, verb, second] of annotations.description.matchAll(/"shardgate (\w+)(?: (\w+))?"/g)) {
        const found = verbs.find((command) => command.name() === verb)
        expect(found, `${alert}: ${verb}`).toBeDefined()
        if (second)
          expect(
            found?.commands.map((command) => command.name()),
            alert,
          ).toContain(second)
      }
    }
  })
})

it('a gateway that stops has its SDK send what waits', async () => {
  await observed.gateway.stop()
  expect(observed.spans().at(-1)?.name).toBe('flushed')
})
