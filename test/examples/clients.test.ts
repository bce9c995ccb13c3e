/**
 * The examples for frontends, against a gateway that serves the help desk: what they generate from the committed
 * schema, whether they compile, and what they get.
 *
 * Generated code is not committed, so they are copied to a folder of their own, with what a project of a frontend
 * has around it. Relay's compiler leaves the tags in the source to a plug-in of the bundler; here the test puts
 * the artifacts in their place, which is all that such a plug-in does.
 */

import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defaultScalarType, scalars } from '../../examples/clients/codegen.ts'
import type { GatewayOptions } from '../../examples/clients/transport.ts'
import { tenantId } from '../../src/base/ids.ts'
import { systemClock } from '../../src/base/time.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { SCALARS } from '../../src/graphql/values/scalars.ts'
import { issueToken } from '../../src/tenant/issue.ts'
import { type Gateway, startGateway } from '../kit/gateway.ts'
import { type Helpdesk, startHelpdesk } from '../kit/helpdesk.ts'

const TOP = join(import.meta.dirname, '../..')

let helpdesk: Helpdesk
let gateway: Gateway
let folder: string
let options: GatewayOptions

beforeAll(async () => {
  const project = mkdtempSync(join(tmpdir(), 'shardgate-clients-'))
  folder = join(project, 'examples/clients')
  const filter = (path: string): boolean => !/^(\.|__)generated/.test(basename(path))
  for (const path of ['examples/clients', 'schema.graphql', 'tsconfig.json', 'package.json'])
    cpSync(join(TOP, path), join(project, path), { recursive: true, filter })
  symlinkSync(join(TOP, 'node_modules'), join(project, 'node_modules'))
  await Promise.all([
    bin('graphql-codegen', '--config', 'codegen.ts'),
    bin('relay-compiler', 'relay.config.json'),
  ])
  helpdesk = await startHelpdesk()
  gateway = await startGateway(helpdesk, { NODE_ENV: 'production' })
  options = { url: gateway.url, token }
})
afterAll(async () => {
  await gateway?.stop()
  await helpdesk?.stop()
  if (folder) rmSync(join(folder, '../..'), { recursive: true })
})

async function bin(name: string, ...args: string[]): Promise<void> {
  const done = promisify(execFile)(join(TOP, 'node_modules/.bin', name), args, { cwd: folder })
  await done.catch(({ stdout, stderr }) => expect.fail(`${name} failed:\n${stdout}${stderr}`))
}

const config = () => JSON.parse(readFileSync(helpdesk.configFile, 'utf8'))

function token(): Promise<string> {
  const [{ issuer, audience, secrets }] = config().tokens
  const tenant = tenantId(helpdesk.tenants[0]!)
  const who = { tenant, roles: ['admin'], subject: 'a frontend', ttlS: 600, clock: systemClock } as const
  return issueToken({ issuer, audience, secret: secrets[0], ...who })
}

/** A module of the examples; its types are checked by the compiler, in its own project. */
const load = <T>(file: string): Promise<T> => import(join(folder, file))

interface Tag {
  readonly __typename: string
  readonly id?: string
  readonly name?: string
  readonly kind?: string
  readonly columns?: readonly string[]
}
interface Ticket {
  readonly id: string
  readonly subject: string
}
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const isTicket = expect.objectContaining({ id: expect.any(String), subject: expect.any(String) })

describe('the examples', () => {
  it('compile against what is generated from the committed schema', () => bin('tsc', '-p', '.'))

  it('tell Relay every scalar that the schema has', () => {
    const inSchema = [...readFileSync('schema.graphql', 'utf8').matchAll(/^scalar (\w+)/gm)].map(
      ([, name]) => name,
    )
    const relay = JSON.parse(readFileSync(join(folder, 'relay.config.json'), 'utf8'))
    expect(Object.keys(relay.customScalarTypes)).toEqual(expect.arrayContaining(inSchema))
  })

  it('have the types of docs/clients.md, which leaves out no scalar', () => {
    const rows = readFileSync('docs/clients.md', 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'))
    const types = new Map(
      rows.flatMap((row) => {
        const [, names = '', , type = ''] = row.split('|')
        return [...names.matchAll(/`(\w+)`/g)].map(
          ([, name = '']) => [name, /`(\w+)`/.exec(type)?.[1]] as const,
        )
      }),
    )
    const own: Record<string, string | { output: string }> = scalars
    const wanted = Object.keys(SCALARS).map((name) => {
      const type = own[name] ?? defaultScalarType
      return [name, typeof type === 'string' ? type : type.output] as const
    })
    expect(wanted.map(([name]) => [name, types.get(name)])).toEqual(wanted)
  })
})

describe('fetch and the client preset', () => {
  interface Module {
    ordersSince(
      options: GatewayOptions,
      since: string,
    ): Promise<{ totalCount: number; nodes: Record<string, unknown>[] }>
  }

  it('get exact numbers and days as text', async () => {
    const { ordersSince } = await load<Module>('preset.ts')
    const { nodes, totalCount } = await ordersSince(options, '2000-01-01')
    expect(totalCount).toBeGreaterThanOrEqual(nodes.length)
    expect(nodes.length).toBeGreaterThan(0)
    for (const { placedOn, taxRate, shipTo } of nodes) {
      expect([placedOn, taxRate]).toEqual([
        expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
        expect.stringMatching(/^0\.\d{4}$/),
      ])
      expect(shipTo).toBeTypeOf('object')
    }
  })

  it('tell a refusal by its code', async () => {
    const { ordersSince } = await load<Module>('preset.ts')
    const asked = ordersSince({ ...options, token: () => 'no token' }, '2000-01-01')
    await expect(asked).rejects.toMatchObject({ cause: [{ extensions: { code: 'UNAUTHENTICATED' } }] })
  })
})

describe('urql', () => {
  interface Module {
    createClient(options: GatewayOptions): object
    openTickets(client: object, first: number): AsyncIterable<Ticket>
    addTag(client: object, name: string, color?: string): Promise<Tag>
    codesOf(error: unknown): string[]
  }
  let urql: Module
  beforeAll(async () => {
    urql = await load('urql.ts')
  })

  it('walks a list page by page, each row once', async () => {
    const inPages = await all(urql.openTickets(urql.createClient(options), 3))
    const atOnce = await all(urql.openTickets(urql.createClient(options), 100))
    expect(inPages).toEqual(atOnce)
    expect(inPages.length).toBeGreaterThan(3)
    expect(new Set(inPages.map(({ id }) => id)).size).toBe(inPages.length)
  })

  it('gets the row that a mutation made, or the column that is wrong', async () => {
    const client = urql.createClient(options)
    expect(await urql.addTag(client, 'urql')).toMatchObject({ __typename: 'Tag', name: 'urql' })
    const twice = { __typename: 'ConstraintError', kind: 'UNIQUE', columns: ['name'] }
    expect(await urql.addTag(client, 'urql')).toMatchObject(twice)
    const wrong = { __typename: 'ConstraintError', kind: 'CHECK' }
    expect(await urql.addTag(client, 'other', 'red')).toMatchObject(wrong)
  })

  it('tells errors by their code', async () => {
    const error = await all(urql.openTickets(urql.createClient(options), 1_000)).catch((e) => e)
    expect(urql.codesOf(error)).toEqual(['BAD_USER_INPUT'])
  })
})

describe('Apollo Client', () => {
  interface Feed {
    feed: {
      subscribe(next: (result: { dataState: string; data?: FeedData }) => void): { unsubscribe(): void }
    }
    fetchMore(after: string): Promise<unknown>
  }
  interface FeedData {
    tickets: { edges: { node: Ticket }[]; pageInfo: { endCursor: string; hasNextPage: boolean } }
  }
  interface Module {
    createClient(options: GatewayOptions): object
    ticketFeed(client: object, first: number): Feed
    renameTicket(client: object, id: string, subject: string): Promise<Tag>
    codesOf(error: unknown): unknown[]
  }
  let apollo: Module
  beforeAll(async () => {
    apollo = await load('apollo.ts')
  })

  /** What a watcher of the list sees: `until` resolves with the first list, now or later, that `fits`. */
  function watch({ feed }: Feed) {
    let latest: FeedData | undefined
    const waiting = new Set<() => void>()
    const watching = feed.subscribe(({ dataState, data }) => {
      if (dataState === 'complete') latest = data
      for (const look of waiting) look()
    })
    const until = (fits: (tickets: Ticket[]) => boolean) =>
      new Promise<FeedData['tickets']>((resolve) => {
        const look = (): void => {
          if (latest && fits(latest.tickets.edges.map(({ node }) => node))) resolve(latest.tickets)
        }
        waiting.add(look)
        look()
      })
    return { until, stop: () => watching.unsubscribe() }
  }

  it('grows a list by its pages, and shows a change wherever the row is', async () => {
    const client = apollo.createClient(options)
    const feed = apollo.ticketFeed(client, 4)
    const { until, stop } = watch(feed)
    const { pageInfo } = await until((tickets) => tickets.length === 4)
    await feed.fetchMore(pageInfo.endCursor)
    const { edges } = await until((tickets) => tickets.length === 8)
    const ids = edges.map(({ node }) => node.id)
    expect(new Set(ids).size).toBe(8)
    const renamed = await apollo.renameTicket(client, ids[5]!, 'Renamed by Apollo')
    expect(renamed).toMatchObject({ __typename: 'Ticket', id: ids[5] })
    await until((tickets) => tickets[5]?.subject === 'Renamed by Apollo')
    stop()
  })

  it('gets a broken constraint as an answer, and other errors by their code', async () => {
    const client = apollo.createClient(options)
    const { until, stop } = watch(apollo.ticketFeed(client, 1))
    const { edges } = await until((tickets) => tickets.length === 1)
    stop()
    expect(await apollo.renameTicket(client, edges[0]!.node.id, '')).toMatchObject({ kind: 'CHECK' })
    const error = await apollo.renameTicket(client, 'no id', 'x').catch((cause: unknown) => cause)
    expect(apollo.codesOf(error)).toEqual(['BAD_USER_INPUT'])
  })
})

describe('Relay', () => {
  interface Module {
    createEnvironment(options: GatewayOptions): object
    ticketsPage(
      environment: object,
      first: number,
      after?: string,
    ): Promise<{ tickets: { edges: { node: Ticket }[]; pageInfo: { endCursor: string } } }>
    addTag(environment: object, name: string): Promise<Tag>
  }
  let relay: Module
  beforeAll(async () => {
    const source = readFileSync(join(folder, 'relay.ts'), 'utf8')
    const names = [...source.matchAll(/graphql`\s*\w+ (\w+)/g)].map(([, name]) => name)
    const imports = names.map((name) => `import artifact_${name} from './__generated__/${name}.graphql.ts'`)
    const compiled = source.replace(/graphql`\s*\w+ (\w+)[^`]*`/g, 'artifact_$1')
    writeFileSync(join(folder, 'relay.compiled.ts'), `${imports.join('\n')}\n${compiled}`)
    relay = await load('relay.compiled.ts')
  })

  it('reads pages of a connection', async () => {
    const environment = relay.createEnvironment(options)
    const { tickets } = await relay.ticketsPage(environment, 3)
    expect(tickets.edges.map(({ node }) => node)).toEqual([isTicket, isTicket, isTicket])
    const next = await relay.ticketsPage(environment, 3, tickets.pageInfo.endCursor)
    const ids = [...tickets.edges, ...next.tickets.edges].map(({ node }) => node.id)
    expect(new Set(ids).size).toBe(6)
  })

  it('gets the row that a mutation made, or the column that is wrong', async () => {
    const environment = relay.createEnvironment(options)
    expect(await relay.addTag(environment, 'relay')).toMatchObject({ __typename: 'Tag', name: 'relay' })
    expect(await relay.addTag(environment, 'relay')).toMatchObject({ kind: 'UNIQUE', columns: ['name'] })
  })
})

/** Of the shards, and of the databases that are a tenant's own. */
async function ownerUrls(): Promise<string[]> {
  const { shards, directory } = config()
  const own = await withClient(directory.url, (db) =>
    db.query(`select shard, namespace from directory.placement where isolation = 'database'`),
  )
  const databases = own.map(({ shard, namespace }) => databaseUrl(shards[shard!].ownerUrl, namespace!))
  return [...Object.values<{ ownerUrl: string }>(shards).map(({ ownerUrl }) => ownerUrl), ...databases]
}

describe('an error that is retryable', () => {
  it('is tried again after the time that it names, a mutation too, and made once', async () => {
    const codes: unknown[] = []
    const urls = await ownerUrls()
    const setFence = (state: string) =>
      Promise.all(
        urls.map((url) =>
          withClient(url, (db) => db.query(`update shardgate.tenant_fence set state = '${state}'`)),
        ),
      )
    const watched: typeof fetch = async (input, init) => {
      const response = await fetch(input, init)
      const { errors } = await response.clone().json()
      codes.push(errors?.[0]?.extensions?.code)
      if (errors) await setFence('active')
      return response
    }
    const urql = await load<{
      createClient(options: GatewayOptions): object
      addTag(client: object, name: string): Promise<Tag>
    }>('urql.ts')
    await setFence('frozen')
    const made = await urql.addTag(urql.createClient({ ...options, fetch: watched }), 'after the move')
    expect(made).toMatchObject({ __typename: 'Tag', name: 'after the move' })
    expect(codes).toEqual(['TENANT_MOVING', undefined])
  })
})
