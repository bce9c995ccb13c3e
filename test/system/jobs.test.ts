/** Jobs in gateways that are killed: in each phase of a job, and between a mutation and the queue. */

import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { installQueue } from '../../src/control/jobs/install.ts'
import { type JobQueue, openQueue } from '../../src/control/jobs/queue.ts'
import { shardgate } from '../kit/command.ts'
import { type Gateway, logged, startGateway, worldToken } from '../kit/gateway.ts'
import { runOut } from '../kit/jobs.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let tenant: WorldTenant
let queue: JobQueue
const gateways: Gateway[] = []

beforeAll(async () => {
  const extensions = [fileURLToPath(new URL('../fixtures/jobs-extension.ts', import.meta.url))]
  world = await startWorld({ tenants: 1, shards: 1, proxies: true }, { extensions, jobs: { pollMs: 100 } })
  tenant = world.tenants[0]!
  await installQueue(world.directoryUrl)
  queue = await openQueue({ url: world.directoryUrl, keeps: false, keepDays: 7, emit: () => {} })
})
afterEach(async () => {
  heal()
  await Promise.all(gateways.splice(0).map((gateway) => gateway.stop()))
})
afterAll(async () => {
  await queue.end()
  await world.stop()
})

/** What the black hole has swallowed stays so: lines through it are cut. */
function heal(): void {
  world.directoryProxy!.pass()
  world.directoryProxy!.cut()
}

async function start(): Promise<Gateway> {
  const gateway = await startGateway(world)
  gateways.push(gateway)
  return gateway
}

/** Far longer than anything here takes, and shorter than a test may. */
const PATIENCE_MS = 60_000

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  const started = performance.now()
  while (!(await what())) {
    if (performance.now() - started > PATIENCE_MS) throw new Error(`It did not come: ${what}`)
    await wait(20)
  }
}

let row = 9_000
async function create(gateway: Gateway, name: string): Promise<void> {
  row += 10
  const query = `mutation { createProject(input: { rowId: "${row}", name: "${name}" }) { __typename } }`
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await worldToken(world, tenant)}`,
    },
    body: JSON.stringify({ query }),
  })
  expect(await response.json()).toEqual({ data: { createProject: { __typename: 'Project' } } })
}

const names = async (like: string): Promise<string[]> => {
  const text = 'select name from app.projects where tenant_id = $1 and name like $2 order by name'
  return (await world.sql(tenant.shard, text, [tenant.id, like])).map(({ name }) => String(name))
}

const killed = async (gateway: Gateway): Promise<void> => {
  process.kill(gateway.pid, 'SIGKILL')
  await until(() => gateway.ended !== undefined)
}

const doneOf = (gateway: Gateway) => logged(gateway, 'job.done').map(({ end }) => end)

describe('F69: a worker that is killed', () => {
  it.each([
    ['before its job has written', 'job hangs before', 'began'],
    ['before what its job has written is kept', 'job hangs after', 'wrote'],
  ])('%s leaves nothing of it, and another one does it', async (_, name, cue) => {
    const first = await start()
    await create(first, name)
    await until(() => first.output().includes(`cue: ${name} ${cue} 1`))
    await killed(first)
    expect(await names(`${name}%`)).toEqual([name])
    const second = await start()
    await runOut(world, queue)
    await until(() => doneOf(second).includes('done'))
    expect(await names(`${name}%`)).toEqual([name, `${name} done`])
  })

  it('after what its job has written is kept, and before the queue knows, has done it once', async () => {
    const name = 'job waits'
    const first = await start()
    await create(first, name)
    await until(() => first.output().includes(`cue: ${name} wrote 1`))
    world.directoryProxy!.blackhole()
    await until(async () => (await names(`${name}%`)).length === 2)
    await killed(first)
    heal()
    const second = await start()
    await runOut(world, queue)
    await until(() => doneOf(second).includes('repeated'))
    expect(second.output()).not.toContain(`cue: ${name} began 2`)
    expect(await names(`${name}%`)).toEqual([name, `${name} done`])
  })
})

describe('a gateway', () => {
  it('whose directory is away keeps jobs that are asked for, and what it leaves when it is killed is found', async () => {
    const first = await start()
    await create(first, 'known')
    world.directoryProxy!.blackhole()
    await create(first, 'job left behind')
    await killed(first)
    heal()
    await start()
    await until(async () => (await names('job left behind%')).length === 2)
  })

  it('that is stopped waits for its jobs, and closes after them', async () => {
    const gateway = await start()
    await create(gateway, 'job waits for the end')
    await until(() => gateway.output().includes('cue: job waits for the end wrote 1'))
    await gateway.stop()
    expect(gateway.ended).toBe('exit 0')
    expect(doneOf(gateway)).toEqual(['done'])
    expect(await names('job waits for the end%')).toHaveLength(2)
  })
})

describe('the command line', () => {
  const command = async (...args: string[]) => {
    const { status, out, err } = await shardgate(['jobs', ...args, '-c', world.configFile, '-o', 'json'])
      .ended
    return { status, answer: JSON.parse(out || err) }
  }

  it('asks for a job, and works without serving', async () => {
    const asked = await command(
      'run',
      'write',
      '--tenant',
      tenant.id,
      '--data',
      '{"rowId":8000,"name":"by hand"}',
    )
    expect(asked).toMatchObject({ status: 0, answer: { job: 'write', state: 'waiting', tenant: tenant.id } })
    const env = { PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'info' }
    const worker = shardgate(['jobs', 'work', '-c', world.configFile], env)
    await worker.prints(/"kind":"job.done".*"end":"done"/)
    worker.signal('SIGTERM')
    expect(await worker.ended).toMatchObject({ status: 0 })
    expect(await names('by hand%')).toEqual(['by hand done'])
    expect(await command('show', asked.answer.id)).toMatchObject({ status: 0, answer: { state: 'done' } })
    expect(await command('retry', asked.answer.id)).toMatchObject({ status: 3 })
    expect(await command('dead')).toEqual({ status: 0, answer: [] })
  })

  it.each([
    [['run', 'wrote', '--tenant', 'x'], 'BAD_USER_INPUT'],
    [['run', 'write', '--tenant', 'nobody'], 'TENANT_UNKNOWN'],
    [['run', 'write', '--tenant', 'x', '--data', '[1]'], 'USAGE'],
  ])('refuses %j', async (args, code) => {
    expect((await command(...args)).answer.error.code).toBe(code)
  })
})
