/** Operations: killed between any two steps they go on where they were, one at a time, or are undone. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { alone, runOperation } from '../../src/control/operations/run.ts'
import { findRunning, listOperations } from '../../src/control/operations/store.ts'
import type { Kind } from '../../src/control/operations/types.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { readAudit } from '../../src/directory/audit.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

interface Input {
  readonly to: string
}
interface Memory {
  readonly first: number
  readonly second: string
}

const acme = tenantId('acme')
let test: TestFleet
let directory: Client
let ran: string[]

const KIND: Kind<Input, Memory> = {
  name: 'test.three',
  steps: [
    { name: 'one', run: async () => note('one', { first: 1 }), undo: async () => void note('undo one') },
    { name: 'step two', run: async ({ memory }) => note('step two', { second: `after ${memory.first}` }) },
    { name: 'three', run: async ({ memory, input }) => note(`three ${memory.second} to ${input.to}`) },
  ],
}

function note<T>(text: string, left?: T): T | undefined {
  ran.push(text)
  return left
}

const run = (fleet: Fleet, to = 'there') => runOperation(fleet, KIND, { tenant: acme, input: { to } })

/** The fleet in whose operations a failpoint throws, as a kill would end them. */
const dyingAt = (place: string): Fleet => ({
  ...test.fleet,
  failpoints: {
    hit: async (name) => {
      if (name === place) throw new Error(`killed ${place}`)
    },
  },
})

/** What a promise is refused with. */
const refusal = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'not refused',
    (error: unknown) => error,
  )

const PLACES = KIND.steps.flatMap(({ name }) => [`before test.three ${name}`, `after test.three ${name}`])

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1 } })
  directory = await connect(test.directoryUrl)
})
afterAll(async () => {
  await directory.end()
  await test.drop()
})
beforeEach(async () => {
  ran = []
  await directory.query('delete from directory.operation')
})

describe('an operation', () => {
  it('runs its steps in order and hands on what they leave', async () => {
    expect(await run(test.fleet)).toEqual({ first: 1, second: 'after 1' })
    expect(ran).toEqual(['one', 'step two', 'three after 1 to there'])
    expect(await listOperations(directory, { all: false, limit: 10 })).toEqual([])
    const [ended] = await listOperations(directory, { all: true, limit: 10 })
    expect(ended).toMatchObject({ state: 'done', done: ['one', 'step two', 'three'], operator: 'test' })
    const entries = await readAudit(directory, { tenant: acme, limit: 2 })
    expect(entries.map(({ action }) => action)).toEqual(['test.three begun', 'test.three done'])
  })

  it.each(PLACES)('killed %s goes on there, and runs no step again that was written down', async (place) => {
    await expect(run(dyingAt(place))).rejects.toThrow(`killed ${place}`)
    const [left] = await listOperations(directory, { all: false, limit: 10 })
    expect(left?.error).toContain(`killed ${place}`)
    const before = [...ran]
    expect(await run(test.fleet)).toEqual({ first: 1, second: 'after 1' })
    const again = place.startsWith('after') ? 1 : 0
    expect(ran).toHaveLength(KIND.steps.length + again)
    expect(ran.slice(before.length).length).toBe(KIND.steps.length - before.length + again)
    expect(await listOperations(directory, { all: false, limit: 10 })).toEqual([])
  })

  it('is refused while another one of the tenant is unfinished, or asks for something else', async () => {
    await expect(run(dyingAt('before test.three three'))).rejects.toThrow()
    const other = await refusal(run(test.fleet, 'elsewhere'))
    const message = expect.stringMatching(
      /Operation \d+ \(test\.three of acme\), begun by test at .* operation resume \d+/,
    )
    expect(other).toMatchObject({ code: 'TENANT_BUSY', message })
    const kind = { ...KIND, name: 'test.other' }
    const request = { tenant: acme, input: { to: 'there' } }
    expect(await refusal(runOperation(test.fleet, kind, request))).toMatchObject({ code: 'TENANT_BUSY' })
    expect(ran).toEqual(['one', 'step two'])
    // Another tenant, whose id begins alike, is not in the way.
    await runOperation(test.fleet, KIND, { tenant: tenantId('acme-2'), input: { to: 'there' } })
  })

  it('is refused while somebody runs one on the tenant, and that one is told', async () => {
    await alone({ ...test.fleet, operator: 'ann' }, acme, KIND.name, async () => {
      expect(await refusal(run(test.fleet))).toMatchObject({ code: 'TENANT_BUSY' })
      expect(await findRunning(directory, acme, KIND.name)).toBe(null)
    })
    await run(test.fleet)
  })

  it('writes nothing when its request cannot be', async () => {
    const require = async (): Promise<void> => {
      throw new Error('not so')
    }
    const entries = await readAudit(directory, { limit: 1 })
    await expect(
      runOperation(test.fleet, KIND, { tenant: acme, input: { to: 'x' }, require }),
    ).rejects.toThrow('not so')
    expect(await listOperations(directory, { all: true, limit: 10 })).toEqual([])
    expect(await readAudit(directory, { limit: 1 })).toEqual(entries)
  })

  it('on the whole fleet is one at a time of its kind', async () => {
    await alone(test.fleet, null, KIND.name, async () => {
      const request = { tenant: null, input: { to: 'x' } }
      expect(await refusal(runOperation(test.fleet, KIND, request))).toMatchObject({ code: 'TENANT_BUSY' })
      await runOperation(test.fleet, { ...KIND, name: 'test.others' }, request)
    })
  })
})
