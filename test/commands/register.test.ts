/** `shardgate tenant register`: asks before it changes anything, and says what it left out. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/commands/program.ts'
import { withClient } from '../../src/db/client.ts'
import { listTenants } from '../../src/directory/tenants.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { printing } from '../kit/terminal.ts'

let fleet: TestFleet
let folder: string

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  folder = mkdtempSync(join(tmpdir(), 'shardgate-register-'))
  const shards = fleet.shards.map((shard) => [
    shard.key,
    { url: shard.url('app'), ownerUrl: shard.url('owner') },
  ])
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({
      tenancy: { schemas: ['app'] },
      directory: { url: fleet.directoryUrl },
      router: { buckets: 64 },
      shards: Object.fromEntries(shards),
      tokens: [
        {
          issuer: 'x',
          audience: 'x',
          algorithms: ['HS256'],
          secrets: ['a-secret-of-thirty-two-bytes-or-more'],
        },
      ],
    }),
  )
  for (const shard of fleet.shards) {
    const rows = shard.key === 'shard-a' ? `('acme'), ('both'), (null)` : `('globex'), ('both'), ('No')`
    await withClient(shard.url('owner'), (db) =>
      db.query(`create table app.t (tenant_id text); insert into app.t values ${rows}`),
    )
  }
})
afterAll(async () => {
  await fleet?.drop()
  rmSync(folder, { recursive: true })
})

async function register(args: string[], ask?: (question: string) => Promise<boolean>) {
  const { terminal, printed } = printing(ask)
  const line = ['tenant', 'register', '-c', join(folder, 'config.json'), ...args]
  const status = await runCommand(line, () => Promise.reject(new Error('not run')), terminal)
  return { status, ...printed }
}
const known = async () =>
  (await withClient(fleet.directoryUrl, (db) => listTenants(db, 100))).map(({ id, shard }) => [id, shard])

describe('without a yes', () => {
  it.each([
    [[], 'Wanted --discover, or an id and its --shard.'],
    [['acme'], 'Wanted the shard that holds acme: --shard <key>.'],
    [['acme', '--discover'], 'Either --discover or one id; both came: "acme".'],
    [['--discover'], 'Nothing was registered. The same with --yes registers the 2 new tenants.'],
  ])('%j is a sentence, exit 2, and no change', async (args, sentence) => {
    const { status, err } = await register(args)
    expect([status, err]).toEqual([2, expect.stringContaining(sentence)])
    expect(await known()).toEqual([])
  })

  it('a dry run tells, and a person who says no is obeyed', async () => {
    const { out } = await register(['--discover', '--dry-run'])
    expect(out).toBe(
      [
        'TENANT  SHARD             RESULT    ROWS  WHY',
        'No      shard-b           refused   1     it has capital letters',
        'acme    shard-a           new',
        'both    shard-a, shard-b  conflict        it has rows on shard-a and shard-b',
        'globex  shard-b           new',
        '',
        '1 rows of app.t on shard-a have no tenant: nobody will see them.',
        '2 tables read, 4 tenants found, 0 of them registered before.',
        '',
      ].join('\n'),
    )
    const questions: string[] = []
    const { status } = await register(['--discover'], async (question) => {
      questions.push(question)
      return false
    })
    expect([status, questions]).toEqual([2, ['Register 2 tenants?']])
    expect(await known()).toEqual([])
  })
})

describe('with a yes', () => {
  it('registers what is clear, and exits 1 because of what it left out', async () => {
    const { status, out, err } = await register(['--discover', '-o', 'json'], async () => true)
    expect([status, err]).toEqual([1, expect.stringContaining('2 of the values in the tables were left out')])
    const { tenants } = JSON.parse(out) as { tenants: { id: string; outcome: string }[] }
    expect(tenants.map(({ id, outcome }) => [id, outcome])).toEqual([
      ['No', 'refused'],
      ['acme', 'registered'],
      ['both', 'conflict'],
      ['globex', 'registered'],
    ])
    expect(await known()).toEqual([
      ['acme', 'shard-a'],
      ['globex', 'shard-b'],
    ])
  })

  it('one shard alone, and one tenant alone', async () => {
    const { out } = await register(['--discover', '--yes', '--shard', 'shard-a'])
    expect(out).toMatch(/both .*conflict/) // although the other shard was not asked for
    expect(out).toContain('2 tenants found, 1 of them registered before')
    expect(await register(['initech', '--shard', 'shard-b'])).toMatchObject({
      status: 0,
      out: 'initech is registered on shard-b.\n',
    })
    expect((await register(['initech', '--shard', 'shard-a'])).status).toBe(3)
    expect((await register(['--discover', '--shard', 'shard-x'])).status).toBe(3)
  })
})
