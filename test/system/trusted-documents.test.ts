/**
 * Trusted documents of a whole gateway in production: read at the start and told, run by compiled plans, taken over
 * while it runs, and left as they were when the next ones are wrong.
 */

import { createHash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shardgate } from '../kit/command.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const idOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
const manifestOf = (...texts: string[]) => Object.fromEntries(texts.map((text) => [idOf(text), text]))

const PROJECTS = 'query Projects($first: Int) { projects(first: $first) { nodes { id name } } }'
const COUNT = 'query Count { projects { totalCount } }'
const GONE = 'query Gone { projects { nodes { goneWithTheLastMigration } } }'

let world: World
let gateway: Gateway

beforeAll(async () => {
  const documents = { trusted: [{ file: 'web.json' }], trustedOnly: true }
  world = await startWorld({ tenants: 1, shards: 1 }, { documents })
  write('web.json', manifestOf(PROJECTS, GONE))
  gateway = await startGateway(world, { NODE_ENV: 'production' })
})
afterAll(async () => {
  await gateway?.stop()
  await world?.stop()
})

const place = (name: string): string => join(dirname(world.configFile), name)

/** In one step: a manifest that is half written would be refused. */
function write(name: string, content: unknown): void {
  writeFileSync(place('next'), typeof content === 'string' ? content : JSON.stringify(content))
  renameSync(place('next'), place(name))
}

async function ask(body: object) {
  const token = await worldToken(world, world.tenants[0]!)
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const response = await fetch(gateway.url, { method: 'POST', headers, body: JSON.stringify(body) })
  return response.json()
}
const codeOf = async (body: object) => (await ask(body)).errors?.[0]?.extensions.code

const lines = (kind: string) =>
  gateway
    .output()
    .split('\n')
    .filter((line) => line.includes(`"kind":"${kind}"`))
    .map((line) => JSON.parse(line))

/** Make a change, tell the gateway, and wait for what it says. */
function after(kind: string, change: () => void) {
  return next(kind, () => {
    change()
    process.kill(gateway.pid, 'SIGHUP')
  })
}

/** The next line of the log of this kind; lines are written a moment after what they tell. */
async function next(kind: string, act: () => unknown) {
  const before = lines(kind).length
  await act()
  while (lines(kind).length === before) {
    if (gateway.ended) throw new Error(`The gateway has ended:\n${gateway.output()}`)
    await setImmediate()
  }
  return lines(kind).at(-1)
}

describe('trusted documents', () => {
  it('are counted at the start, and those that the schema refuses are told', () => {
    expect(lines('documents.read')).toEqual([
      expect.objectContaining({
        level: 'warn',
        documents: 2,
        unfit: [
          `${place('web.json')}: ${idOf(GONE)}: Cannot query field "goneWithTheLastMigration" on type "Project".`,
        ],
      }),
    ])
  })

  it('run as compiled plans, and nothing else runs', async () => {
    const done = await next('request.done', async () => {
      const { data } = await ask({ documentId: idOf(PROJECTS), variables: { first: 2 } })
      expect(data.projects.nodes).toHaveLength(2)
    })
    expect(done).toMatchObject({ lane: 'compiled', operation: 'Projects' })
    expect(await codeOf({ query: COUNT })).toBe('PERSISTED_QUERY_NOT_IN_LIST')
    expect(await codeOf({ documentId: idOf(COUNT) })).toBe('PERSISTED_QUERY_NOT_IN_LIST')
    expect(await codeOf({ documentId: idOf(GONE) })).toBe('GRAPHQL_VALIDATION_FAILED')
  })

  it('are taken over while the gateway runs', async () => {
    const told = await after('config.reloaded', () => write('web.json', manifestOf(COUNT)))
    expect(told).toMatchObject({ changed: ['documents.trusted'] })
    expect((await ask({ documentId: idOf(COUNT) })).data.projects.totalCount).toBeGreaterThan(0)
    expect(await codeOf({ documentId: idOf(PROJECTS) })).toBe('PERSISTED_QUERY_NOT_IN_LIST')
  })

  it('stay as they are when the next ones are wrong, and the log says why', async () => {
    const wrong = {
      ...manifestOf(PROJECTS),
      [idOf(COUNT)]: 'mutation { deleteProject(id: "1") { __typename } }',
    }
    const told = await after('config.refused', () => write('web.json', wrong))
    expect(told.reason).toContain(
      `${place('web.json')}: ${idOf(COUNT)}: the id is not the SHA-256 of the text`,
    )
    expect((await ask({ documentId: idOf(COUNT) })).data).toBeDefined()
    expect(await codeOf({ documentId: idOf(PROJECTS) })).toBe('PERSISTED_QUERY_NOT_IN_LIST')
  })

  it('that are wrong let no gateway start, and "config check" says so too', async () => {
    await expect(startGateway(world)).rejects.toThrow('is not the SHA-256 of the text')
    const { status, err } = await shardgate(['config', 'check', '-c', world.configFile]).ended
    expect([status, err]).toEqual([2, expect.stringContaining('is not the SHA-256 of the text')])
  })

  it('are used again once they are mended, and anything is answered where the configuration says so', async () => {
    await after('config.reloaded', () => write('web.json', manifestOf(PROJECTS)))
    expect((await ask({ documentId: idOf(PROJECTS) })).data).toBeDefined()
    const config = JSON.parse(readFileSync(world.configFile, 'utf8'))
    config.documents.trustedOnly = false
    const told = await after('config.reloaded', () => write('shards.config.json', config))
    expect(told).toMatchObject({ changed: ['documents.trustedOnly'] })
    expect((await ask({ query: COUNT })).data).toBeDefined()
  })
})
