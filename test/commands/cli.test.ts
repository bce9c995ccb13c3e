/** The `shardgate` process as a black box: what it prints, what it changes, and its exit status. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClient } from '../../src/db/client.ts'
import { childEnv } from '../kit/child-env.ts'
import { bareFleet, type TestFleet } from '../kit/fleet.ts'
import { tableSql } from '../kit/migration-folder.ts'
import { some } from '../kit/some.ts'

interface Run {
  readonly status: number
  readonly out: string
  readonly err: string
}

const SECRET = 'a-secret-of-thirty-two-bytes-or-more'
let fleet: TestFleet
let folder: string

beforeAll(async () => {
  fleet = await bareFleet()
  folder = mkdtempSync(join(tmpdir(), 'shardgate-cli-'))
  writeFileSync(join(folder, 'shards.config.json'), JSON.stringify(configuration()))
  expect((await cli('setup', '--admin-user', 'postgres')).err).not.toContain('cannot')
  expect((await cli('tenant', 'create', 'acme', '--name', 'Acme \u001b[2J Inc.')).status).toBe(2)
  expect((await cli('tenant', 'create', 'acme', '--name', 'Acme Inc.', '--shard', 'shard-a')).status).toBe(0)
  expect((await cli('tenant', 'create', 'globex')).status).toBe(0)
})
afterAll(async () => {
  await fleet?.drop()
  if (folder) rmSync(folder, { recursive: true })
})

function configuration(): object {
  const shards = fleet.shards.map((shard) => [
    shard.key,
    { url: shard.url('app'), ownerUrl: shard.url('owner') },
  ])
  return {
    tenancy: { schemas: ['app'] },
    directory: { url: '${TEST_DIRECTORY}' },
    router: { buckets: 64 },
    shards: Object.fromEntries(shards),
    tokens: [{ issuer: 'test', audience: 'test', algorithms: ['HS256'], secrets: ['${TEST_SECRET}'] }],
  }
}

function cli(...args: string[]): Promise<Run> {
  return cliWith({}, ...args)
}

function cliWith(extra: Record<string, string>, ...args: string[]): Promise<Run> {
  const env = childEnv({
    TEST_DIRECTORY: fleet.directoryUrl,
    TEST_SECRET: SECRET,
    SHARDGATE_ADMIN_PASSWORD: new URL(fleet.directoryUrl).password,
    SHARDGATE_DATA: join(folder, 'data'),
    ...extra,
  })
  const file = join(import.meta.dirname, '../../src/cli.ts')
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...args], { cwd: folder, env }, (error, out, err) => {
      resolve({ status: error ? Number(error.code) : 0, out, err })
    })
  })
}

/** Everything that commands could change. */
const state = () =>
  withClient(fleet.directoryUrl, async (db) => [
    await db.query('select * from directory.tenant order by id'),
    await db.query('select * from directory.placement order by 1'),
    await db.query('select * from directory.bucket order by no'),
    await db.query('select * from directory.shard order by key'),
  ])

it('ends well when whoever reads its output has had enough of it', async () => {
  const file = join(import.meta.dirname, '../../src/cli.ts')
  const child = spawn(process.execPath, [file, 'config', 'schema'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  let err = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text
  })
  const [status] = await once(child, 'close')
  expect([status, err]).toEqual([0, ''])
})

describe('wrong usage is one clear error, exit 2, and changes nothing', () => {
  it.each(
    some<[string[], RegExp]>(10, [
      [['tenatn', 'list'], /^Unknown command 'tenatn' \(Did you mean tenant\?\)/],
      [['tenant', 'destroy', 'acme'], /^Unknown command 'destroy'/],
      [['tenant', 'create'], /^Missing required argument 'id'\./],
      [['tenant', 'create', 'a', 'b'], /^Too many arguments for 'create'/],
      [['tenant', 'create', 'x', '--shrad', 'shard-a'], /^Unknown option '--shrad'/],
      [['tenant', 'create', 'Acme'], /^A tenant id is .* "Acme" is not one\./],
      [['tenant', 'create', '../etc'], /"..\/etc" is not one\./],
      [['tenant', 'create', ''], /"" is not one\./],
      [['tenant', 'create', 'x'.repeat(41)], /is not one\./],
      [['tenant', 'create', 'ok', '--name', ''], /^--name: wanted 1 to 200 visible characters/],
      [['tenant', 'create', 'ok', '--subdomain', 'a.b'], /^A subdomain is .* "a.b" is not one\./],
      [['tenant', 'create', 'ok', '--isolation', 'own'], /Allowed choices are shared, schema, database\./],
      [['tenant', 'create', 'ok', '--settings', '{'], /^--settings: wanted a JSON object or @file\.json\./],
      [['tenant', 'create', 'ok', '--settings', '[]'], /^Settings: wanted a JSON object; \[\] came\./],
      [['tenant', 'create', 'ok', '--settings', '@nowhere.json'], /^--settings: .* no such file/],
      [['tenant', 'list', '--state', 'dead'], /Allowed choices are creating, active/],
      [['tenant', 'list', '--after', 'a*'], /"a\*" is not one\./],
      [['tenant', 'show', '%'], /"%" is not one\./],
      [['tenant', 'list', '--limit', '-1'], /Wanted a whole number from 1 to 100000\./],
      [['tenant', 'list', '--limit', '1e3'], /Wanted a whole number/],
      [['token'], /^Missing required argument 'tenant'\./],
      [['token', 'acme', '--role', 'king'], /Wanted one of viewer, member, admin, operator\./],
      [['token', 'acme', '--ttl', '1y'], /Wanted a duration/],
      [['token', 'acme', '--issuer', 'other'], /^No issuer "other" has a secret; those that have: test\./],
      [['-o', 'xml', 'tenant', 'list'], /Allowed choices are table, json\./],
      [['-c', 'nowhere.json', 'tenant', 'list'], /No configuration can be read at .*nowhere\.json/],
    ]),
  )('%j', async (args, message) => {
    const before = await state()
    const { status, out, err } = await cli(...args)
    expect(err).toMatch(message)
    expect({ status, out, lines: err.trimEnd().split('\n').length }).toEqual({ status: 2, out: '', lines: 2 })
    expect(err).not.toMatch(/\bat .*\.ts:\d+/)
    expect(await state()).toEqual(before)
  })

  it.each([
    [['tenatn'], 'shardgate'],
    [['tenant', 'create'], 'shardgate tenant create'],
    [['token', 'acme', '--ttl', '1y'], 'shardgate token'],
    [['tenant', 'register', 'acme'], 'shardgate tenant register'],
  ])('%j names the help of the command that was meant', async (args, command) => {
    expect((await cli(...args)).err).toMatch(new RegExp(`^See "${command} --help"\\.$`, 'm'))
  })

  it('an absent verb shows the help', async () => {
    const { status, err } = await cli('tenant')
    expect([status, err]).toEqual([2, expect.stringContaining('create [options] <id>')])
  })

  it('a configuration fault names the key, not the secret', async () => {
    const { status, err } = await cliWith({ TEST_DIRECTORY: 'mysql://root:hush@h/d' }, 'tenant', 'list')
    expect(status).toBe(2)
    expect(err).toMatch(/directory\.url: wanted postgres:\/\/.*; a text of 21 characters came/)
    expect(err).not.toContain('hush')
  })

  it('what is left to start and not made yet is said so', async () => {
    const { status, err } = await cliWith({ TEST_DIRECTORY: 'embedded' }, 'tenant', 'list')
    expect([status, err]).toEqual([2, expect.stringMatching(/leaves .* to "shardgate start"/)])
  })
})

describe('refusals are exit 3', () => {
  it.each([
    [['tenant', 'show', 'nobody'], /^There is no tenant "nobody"\./],
    [['token', 'nobody'], /^There is no tenant "nobody"\./],
    [
      ['tenant', 'create', 'acme', '--name', 'Other'],
      /^Tenant acme exists with name "Acme Inc\.", not "Other"\./,
    ],
    [['tenant', 'create', 'new', '--subdomain', 'acme'], /^The subdomain "acme" belongs to tenant acme\./],
    [['tenant', 'create', 'new', '--shard', 'shard-x'], /^There is no shard "shard-x" in the directory/],
  ])('%j', async (args, message) => {
    const before = await state()
    const { status, out, err } = await cli(...args)
    expect([status, out, err]).toEqual([3, '', expect.stringMatching(message)])
    expect(await state()).toEqual(before)
  })

  it('in JSON as well', async () => {
    const { status, out, err } = await cli('tenant', 'show', 'nobody', '-o', 'json')
    expect([status, out]).toEqual([3, ''])
    expect(JSON.parse(err)).toEqual({
      error: { code: 'TENANT_UNKNOWN', message: expect.any(String), hint: expect.any(String) },
    })
  })
})

describe('failures are exit 1', () => {
  it('a directory that is down is one sentence without a password or a stack', async () => {
    const url = 'postgres://someone:hush@127.0.0.1:1/directory'
    const { status, err } = await cliWith({ TEST_DIRECTORY: url }, 'tenant', 'list')
    expect([status, err]).toEqual([
      1,
      expect.stringMatching(/^The directory cannot be reached at someone@127\.0\.0\.1:1\/directory: /),
    ])
    expect(err).not.toMatch(/hush|\.ts:/)
    expect(err).toMatch(/\nSee that a server runs there; /)
  })

  it('--debug shows where it came from', async () => {
    const url = 'postgres://someone:hush@127.0.0.1:1/directory'
    const { err } = await cliWith({ TEST_DIRECTORY: url }, 'tenant', 'list', '--debug')
    expect(err).toMatch(/reach\.ts:\d+/)
    expect(err).not.toContain('hush')
  })
})

describe('results', () => {
  it('of list and show parse as JSON', async () => {
    const listed = JSON.parse((await cli('tenant', 'list', '-o', 'json')).out)
    expect(listed.map((tenant: { id: string }) => tenant.id)).toEqual(['acme', 'globex'])
    const shown = JSON.parse((await cli('--output=json', 'tenant', 'show', 'acme')).out)
    expect(shown).toMatchObject({
      id: 'acme',
      name: 'Acme Inc.',
      shard: 'shard-a',
      placedBy: 'placement',
      epoch: 1,
    })
  })

  it('are tables for people, without colours in a pipe', async () => {
    const { out } = await cli('tenant', 'list')
    expect(out).toMatch(
      /^ID +NAME +PLAN +ISOLATION +SHARD +STATE +SINCE\nacme +Acme Inc\. +standard +shared /,
    )
    expect(out).not.toContain('\u001b')
  })

  it('show the bytes of a hostile name, and do not send them to the terminal', async () => {
    await withClient(fleet.directoryUrl, (db) =>
      db.query(`update directory.tenant set name = E'x\\x1b[2J\\x07' where id = 'globex'`),
    )
    const { out } = await cli('tenant', 'show', 'globex')
    expect(out).toContain('x\\u001b[2J\\u0007')
    expect(out).not.toContain('\u001b')
  })

  it('are those that were asked for, and a whole record of one', async () => {
    const ids = async (...options: string[]): Promise<string[]> => {
      const { out } = await cli('tenant', 'list', ...options, '-o', 'json')
      return (JSON.parse(out) as { id: string }[]).map(({ id }) => id)
    }
    expect(await ids('--isolation', 'shared', '--state', 'active', '--shard', 'shard-a')).toEqual([
      'acme',
      'globex',
    ])
    expect(await ids('--isolation', 'schema')).toEqual([])
    expect(await ids('--state', 'suspended')).toEqual([])
    expect((await cli('tenant', 'list', '--shard', 'shard-x')).status).toBe(3)
    const { out } = await cli('tenant', 'show', 'acme')
    expect(out).toMatch(/^id +acme\nname +Acme Inc\.\n/)
    expect(out).toMatch(/\nisolation +shared\nshard +shard-a\nschema +\w+\nplaced by +placement\n/)
    expect(out).toMatch(/\nsettings +\{\}\nlimits +\{\}\nsince +20.*\ntables at +\w+/)
  })

  it('pages say that there may be more', async () => {
    const { out, err } = await cli('tenant', 'list', '--limit', '1', '-o', 'json')
    expect(JSON.parse(out)).toHaveLength(1)
    expect(err).toContain('--after acme')
    expect(JSON.parse((await cli('tenant', 'list', '--after', 'acme', '-o', 'json')).out)[0].id).toBe(
      'globex',
    )
  })

  it('a tenant created twice is the same tenant', async () => {
    const again = await cli('tenant', 'create', 'acme', '-o', 'json')
    expect([again.status, JSON.parse(again.out).created]).toEqual([0, false])
  })

  it('a token carries what was asked for, and nothing else is printed', async () => {
    const { out, status } = await cli('token', '--role', 'admin', '--role', 'viewer', 'acme', '--ttl', '8h')
    expect(status).toBe(0)
    expect(out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    const claims = decodeJwt(out.trim())
    expect(claims).toMatchObject({ iss: 'test', aud: 'test', tenant_id: 'acme', roles: ['admin', 'viewer'] })
    expect(claims.exp! - claims.iat!).toBe(8 * 3_600)
  })

  it('help and version are no errors, and each verb shows an example', async () => {
    expect((await cli('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/)
    for (const verb of [['setup'], ['config', 'check'], ['doctor'], ['tenant', 'create'], ['token']]) {
      const { status, out } = await cli(...verb, '--help')
      expect([status, out]).toEqual([0, expect.stringMatching(/Examples:\n {2}\S/)])
    }
  })

  it('of config check hold no secret', async () => {
    const { status, out } = await cli('config', 'check', '-o', 'json')
    expect([status, JSON.parse(out).shards[0].key]).toEqual([0, 'shard-a'])
    for (const secret of [SECRET, 'test-app', 'test-owner']) expect(out).not.toContain(secret)
  })
})

describe('setup and doctor', () => {
  it('setup again, with migrations, is no change but theirs', async () => {
    const migrations = mkdtempSync(join(folder, 'migrations-'))
    writeFileSync(join(migrations, '20260101000000_memo.sql'), `-- migrate:up\n${tableSql('memo')}\n`)
    const before = await state()
    const first = await cli('setup', '--migrations', migrations, '-o', 'json')
    expect([first.status, JSON.parse(first.out)]).toEqual([
      0,
      ['shard-a', 'shard-b', 'shard-c'].map((shard) => ({
        shard,
        applied: ['20260101000000_memo.sql'],
        already: 0,
      })),
    ])
    expect((await cli('setup', '--migrations', migrations)).status).toBe(0)
    expect(await state()).toEqual(before)
    const bare = 'create table note (tenant_id text not null, id int, primary key (tenant_id, id));'
    writeFileSync(join(migrations, '20260101000001_bare.sql'), `-- migrate:up\n${bare}\n`)
    const refused = await cli('setup', '--migrations', migrations)
    expect([refused.status, refused.err]).toEqual([
      1,
      expect.stringMatching(/_bare\.sql would break the isolation/),
    ])
    // What somebody has made by hand is another matter: it is told by doctor.
    for (const shard of fleet.shards)
      await withClient(shard.url('owner'), (db) => db.query(`set search_path = app; ${bare}`))
  })

  it('adopt prints a migration, or writes it to a folder, and overwrites nothing', async () => {
    const printed = await cli('adopt')
    expect([printed.status, printed.err]).toEqual([0, ''])
    expect(printed.out).toMatch(
      /^-- migrate:up transaction:false\n-- Written by "shardgate adopt"[\s\S]*app\.note/,
    )
    const adopted = join(folder, 'adopted')
    mkdirSync(adopted)
    const { status, err } = await cli('adopt', '-f', adopted)
    const [file = ''] = readdirSync(adopted)
    expect([status, file]).toEqual([0, expect.stringMatching(/^\d{14}_adopt\.sql$/)])
    expect(err).toContain(`Wrote ${join(adopted, file)}.`)
    expect(readFileSync(join(adopted, file), 'utf8')).toBe(printed.out)
    const again = await cli('adopt', '-f', join(adopted, file))
    expect([again.status, again.err]).toEqual([
      2,
      expect.stringContaining('it is there already, and is not overwritten'),
    ])
  })

  it('doctor names what is unsafe with the SQL that mends it, exit 3, and nothing once it is mended', async () => {
    const sick = await cli('doctor', '-o', 'json')
    expect(sick.status).toBe(3)
    expect(JSON.parse(sick.err).error.hint).toMatch(/^Let "shardgate adopt" write a migration/)
    const findings: { where: string; table?: string; sql?: string; severity: string }[] = JSON.parse(sick.out)
    expect(findings.some(({ where, table, sql }) => where === 'shard-b' && table === 'app.note' && sql)).toBe(
      true,
    )
    for (const shard of fleet.shards) {
      const mends = findings.flatMap(({ where, sql }) => (where === shard.key && sql ? [sql] : []))
      await withClient(shard.url('owner'), (db) => db.query(mends.join(';\n')))
    }
    const well = await cli('doctor')
    expect([well.status, well.out]).toEqual([0, 'Nothing is wrong.\n'])
  })

  it('doctor goes on when a shard is down, and tells of two that were swapped', async () => {
    const config = configuration() as { shards: Record<string, { url: string; ownerUrl: string }> }
    const { 'shard-a': a, 'shard-b': b } = config.shards
    const down = { url: 'postgres://a:hush@127.0.0.1:1/x', ownerUrl: 'postgres://a:hush@127.0.0.1:1/x' }
    const swapped = { ...config, shards: { 'shard-a': b, 'shard-b': a, 'shard-c': down } }
    writeFileSync(join(folder, 'swapped.json'), JSON.stringify(swapped))
    const { status, out } = await cli('doctor', '-c', 'swapped.json', '-o', 'json')
    expect(status).toBe(3)
    const found = (JSON.parse(out) as { where: string; check: string }[]).map(
      ({ where, check }) => `${where} ${check}`,
    )
    expect(found).toEqual(
      expect.arrayContaining(['shard-a identity', 'shard-b identity', 'shard-c reachable']),
    )
    expect(out).not.toContain('hush')
  })

  it('doctor tells of a shard that lost a fence, as after an old backup', async () => {
    const shard = fleet.shards[0]!
    await withClient(shard.superuserUrl, (db) =>
      db.query(`delete from shardgate.tenant_fence where tenant_id = 'acme'`),
    )
    const { status, out } = await cli('doctor')
    expect([status, out]).toEqual([
      3,
      expect.stringMatching(
        /unsafe {2}shard-a {2}fence\n {2}The directory has acme here at epoch 1; the shard has nothing\./,
      ),
    ])
  })
})
