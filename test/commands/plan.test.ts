/** `shardgate plan` and `apply` as an operator meets them: what is printed, what is asked, and how they end. */

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/commands/program.ts'
import type { MovePlan } from '../../src/control/rebalance/document.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'
import { printing } from '../kit/terminal.ts'

let world: World
let written: string

beforeAll(async () => {
  world = await startWorld({ tenants: 4, shards: 2, rows: 4, isolations: ['shared', 'schema'] })
  written = readFileSync(world.configFile, 'utf8')
}, 120_000)
afterAll(() => world?.stop())

/** What the file says from now on. */
function edit(change: (file: ReturnType<typeof JSON.parse>) => void): void {
  const file = JSON.parse(written)
  change(file)
  writeFileSync(world.configFile, JSON.stringify(file))
}

async function command(args: string[], ask?: (question: string) => Promise<boolean>) {
  const { terminal, printed } = printing(ask)
  const run = (): never => {
    throw new Error('no gateway')
  }
  const status = await runCommand([...args, '--config', world.configFile], run, terminal)
  return { ...printed, status }
}

/** All that says where tenants are and what is planned. */
async function state(): Promise<string> {
  const tables = ['tenant', 'placement', 'bucket', 'plan', 'move', 'setting', 'audit']
  const found: unknown[] = []
  for (const name of tables) {
    found.push(await world.sql('directory', `select t::text as row from directory.${name} t order by 1`))
  }
  return JSON.stringify(found)
}

const drain = (): void => edit((file) => Object.assign(file.shards['shard-b'], { drain: true }))
const planFile = (): string => join(dirname(world.configFile), 'plan.json')

describe('plan', () => {
  it('has nothing to do at first, with exit status 0, and 0 for --check', async () => {
    edit(() => {})
    expect(await command(['plan', '--check'])).toMatchObject({
      status: 0,
      out: 'Nothing to do: 4 tenants on 2 shards are where the file wants them.\n',
    })
  })

  it('shows moves, buckets and bars in 80 columns, changes nothing, and exits with 3 for --check', async () => {
    drain()
    const before = await state()
    const { out, status } = await command(['plan', '--check'])
    expect(status).toBe(3)
    expect(out).toMatch(/^2 moves, 32 buckets: \d+ rows, .* in about \d+ s,\n2 at once, 1 a shard\. Writes/)
    expect(out).toMatch(/\n1 {2}tenant-\S+ +shard-b {2}shard-a +\d+ {2}.* drain\n/)
    expect(out).toContain('\n  shard-b → shard-a  32 buckets\n')
    expect(out).toMatch(/\nshard-b {2}before {2}█+░* +[\d.]+ [kM]B {2}2 tenants, 32 buckets\n/)
    expect(out).toMatch(/\n {9}after {3}░{24} +0 kB {2}0 tenants, 0 buckets\n/)
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(await state()).toBe(before)
  })

  it('gives the same document as JSON and as a file', async () => {
    const { out } = await command(['plan', '-f', planFile(), '-o', 'json'])
    const [shown, saved] = [out, readFileSync(planFile(), 'utf8')].map((text): MovePlan => JSON.parse(text))
    expect(saved).toEqual(shown)
    expect(saved?.moves).toHaveLength(2)
  })

  it.each<[string, (file: ReturnType<typeof JSON.parse>) => void, RegExp]>([
    [
      'lacks a shard with tenants',
      (file) => delete file.shards['shard-b'],
      /shards\.shard-b: it holds 2 tenants and 32 buckets.* Put it back/,
    ],
    [
      'pins to nowhere',
      (file) => (file.pins = { acme: { shard: 'shard-x' } }),
      /pins\.acme\.shard: wanted a shard of this file \(shard-a, shard-b\); "shard-x" came/,
    ],
    [
      'pins against a rule',
      (file) => {
        file.pins = { acme: { shard: 'shard-b', isolation: 'schema' } }
        file.shards['shard-b'].isolations = ['shared']
      },
      /pins\.acme\.isolation: wanted one of shards\.shard-b\.isolations \(shared\); "schema" came/,
    ],
    [
      'assigns beyond the end',
      (file) => (file.router.assign = { '60-64': 'shard-a' }),
      /router\.assign\.60-64: wanted buckets from 0 to 63/,
    ],
    [
      'assigns twice',
      (file) => (file.router.assign = { '1-3': 'shard-a', '2': 'shard-b' }),
      /router\.assign\.1-3: wanted each bucket once; 2 is in another range too/,
    ],
    [
      'drains everything',
      (file) => {
        for (const shard of Object.values(file.shards)) Object.assign(shard as object, { drain: true })
      },
      /shards: wanted at least one with a weight above 0 and without "drain": true/,
    ],
    [
      'assigns in words',
      (file) => (file.router.assign = { first: 'shard-a' }),
      /router\.assign\.first: wanted a bucket or a range/,
    ],
    [
      'pins nothing',
      (file) => (file.pins = { acme: {} }),
      /pins\.acme: wanted a shard, an isolation or both/,
    ],
  ])('refuses a file that %s, with its key, and changes nothing', async (_, change, sentence) => {
    edit(change)
    const before = await state()
    const { err, status } = await command(['plan'])
    expect([status, err]).toEqual([2, expect.stringMatching(sentence)])
    expect(await state()).toBe(before)
    drain()
  })
})

describe('apply', () => {
  const refused = async (args: string[], status: number, sentence: RegExp): Promise<void> => {
    const before = await state()
    expect(await command(['apply', ...args])).toMatchObject({ status, err: expect.stringMatching(sentence) })
    expect(await state()).toBe(before)
  }

  it('does nothing where nobody can be asked, or where the answer is no', async () => {
    drain()
    await refused(['--quick'], 2, /Nobody is here who could be asked\.\nAgree with --yes/)
    const before = await state()
    const { err, status } = await command(['apply', '--quick'], async () => false)
    expect([status, err]).toEqual([
      0,
      expect.stringMatching(/2 moves, 32 buckets[\s\S]*Nothing was changed\.\n$/),
    ])
    expect(await state()).toBe(before)
  })

  it('refuses what is no plan, what was edited, and what contradicts itself', async () => {
    const text = readFileSync(planFile(), 'utf8')
    const edited = join(dirname(world.configFile), 'edited.json')
    writeFileSync(edited, text.replace('"reason":"drain"', '"reason":"pin"'))
    await refused([edited], 3, /edited\.json was changed after it had been made/)
    writeFileSync(edited, '{')
    await refused([edited], 3, /edited\.json is no plan of moves: it is not JSON/)
    await refused([join(dirname(edited), 'none.json')], 2, /none\.json cannot be read/)
    await refused(
      [planFile(), '--cancel'],
      2,
      /Wanted one of a file, --continue and --cancel; a file and --cancel came/,
    )
    await refused([planFile(), '--balance', 'size'], 2, /--balance is for a new plan; a file came as well/)
  })

  it('writes a plan down, says what is unfinished, gives it up, and does another to its end', async () => {
    expect(await command(['apply', planFile(), '--queue'])).toMatchObject({
      status: 0,
      out: expect.stringMatching(
        /^Plan 1 is not finished, 31 buckets; 1 bucket waits for its tenants\.\nThe moves wait for a runner/,
      ),
    })
    await refused(
      ['--yes'],
      3,
      /Plan 1, which .* is not finished\.\nGo on with it: shardgate apply --continue/,
    )
    expect((await command(['plan', '--quick'])).err).toContain(
      'Plan 1 is not finished. Go on with it: shardgate apply --continue.',
    )
    expect((await command(['apply', '--cancel'])).out).toMatch(/^Plan 1 is given up; 2 moves cancelled/)
    expect((await command(['apply', planFile()])).out).toMatch(/^Plan 1 was given up before: nothing to do/)
    const done = await command(['apply', '--yes', '--quick'])
    expect(done).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^Plan 2 is done, 2 of 2 moves, 1 bucket\.\n/),
    })
    expect((await command(['plan'])).out).toMatch(
      /^Nothing to do: 4 tenants[\s\S]*shard-b is drained and holds nothing any more: take it out of the file\.\n$/,
    )
    expect((await command(['apply', '--continue'])).out).toBe('No plan is unfinished.\n')
  }, 60_000)
})
