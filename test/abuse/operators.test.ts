/**
 * Operators who type the wrong thing: each is refused with a sentence that says what was wanted, what came and what to
 * do, with the right exit status, and not one row of the directory or of any shard has changed.
 */

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { runCommand } from '../../src/commands/program.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { alone } from '../../src/control/operations/run.ts'
import { canary } from '../kit/canary.ts'
import { filesOf } from '../kit/files.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { changesOf, stateOf } from '../kit/fleet-state.ts'
import { withPg } from '../kit/server-copies.ts'
import { insertWorld } from '../kit/world-rows.ts'

const SCHEMA = 'app'
let fleet: TestFleet
let folder: string
let before: string[]
let filesBefore: string[]

interface Said {
  readonly status: number
  readonly text: string
}

async function type(args: readonly string[], config = 'shards.config.json'): Promise<Said> {
  const printed: string[] = []
  const write = (text: string): void => void printed.push(text)
  const filled = args.map((arg) => arg.replaceAll('FOLDER', folder))
  const terminal = { out: write, err: write, colour: false }
  const status = await runCommand(
    [...filled, '--config', join(folder, config)],
    () => Promise.reject(),
    terminal,
  )
  return { status, text: printed.join('') }
}

async function done(...args: string[]): Promise<void> {
  const { status, text } = await type(args)
  if (status !== 0) throw new Error(`${args.join(' ')}: ${text}`)
}

function configure(name: string, change: object = {}): void {
  const config = {
    tenancy: { column: 'tenant_id', schemas: [SCHEMA] },
    directory: { url: fleet.directoryUrl },
    router: { strategy: 'modulo', buckets: fleet.installation.buckets },
    shards: Object.fromEntries(
      fleet.shards.map(({ key, url }) => [
        key,
        { url: url('app'), ownerUrl: url('owner'), moverUrl: url('mover') },
      ]),
    ),
    tokens: [
      {
        issuer: 't',
        audience: 't',
        algorithms: ['HS256'],
        secrets: ['a secret of thirty-two bytes or more'],
      },
    ],
    plans: { standard: { isolation: 'shared' }, gold: { isolation: 'schema' } },
    migrations: './migrations',
    exports: './exports',
    ...change,
  }
  writeFileSync(join(folder, name), JSON.stringify(config))
}

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 }, schemas: [SCHEMA] })
  folder = mkdtempSync(join(tmpdir(), 'shardgate-operators-'))
  cpSync(join(import.meta.dirname, '../kit/world'), join(folder, 'migrations'), { recursive: true })
  configure('shards.config.json')
  await done('migrate', 'up')
  await done('tenant', 'create', 'acme', '--name', 'Acme Inc.', '--shard', 'shard-a')
  await done('tenant', 'create', 'acme-2', '--name', 'Acme Two', '--shard', 'shard-a')
  for (const id of ['asleep', 'gone', 'due', 'dead']) await done('tenant', 'create', id, '--shard', 'shard-b')
  await withPg(fleet.shards[0]!.superuserUrl, (db) => insertWorld(db, canary('acme'), 2, SCHEMA))
  await done('tenant', 'suspend', 'asleep')
  await done('tenant', 'offboard', 'gone', '--days', '30')
  for (const id of ['due', 'dead']) await done('tenant', 'offboard', id, '--days', '0')
  await done('tenant', 'purge', 'dead', '--name', 'dead')
  await begin('half')
  await done('tenant', 'export', 'acme', '--to', join(folder, 'exports/acme'))
  spoilExports()
  spoilMigrations()
  before = await stateOf(fleet)
  filesBefore = filesOf(folder)
}, 120_000)
afterAll(async () => {
  await fleet?.drop()
  if (folder) rmSync(folder, { recursive: true })
})

/** A creation that was killed. */
async function begin(id: string): Promise<void> {
  const hit = async (name: string): Promise<void> => {
    if (name.includes('fence')) throw new Error('killed')
  }
  await createTenant({ ...fleet.fleet, failpoints: { hit } }, { id: tenantId(id) }).catch(() => {})
}

/** Copies of the export, each with something that is not as it was written. */
function spoilExports(): void {
  const at = (name: string): string => join(folder, 'exports', name)
  for (const name of ['altered', 'short', 'unsealed', 'foreign'])
    cpSync(at('acme'), at(name), { recursive: true })
  mkdirSync(at('empty'))
  const files = readdirSync(at('acme')).filter((name) => name !== 'manifest.json')
  const data = files.find((name) => name.includes('projects'))!
  const bytes = readFileSync(join(at('altered'), data))
  bytes[bytes.length - 5]! ^= 1
  writeFileSync(join(at('altered'), data), bytes)
  rmSync(join(at('short'), data))
  const manifest = readFileSync(join(at('acme'), 'manifest.json'), 'utf8')
  writeFileSync(join(at('unsealed'), 'manifest.json'), manifest.replaceAll('"acme"', '"acme-9"'))
  writeFileSync(join(at('foreign'), 'manifest.json'), '{"name": "another program", "version": 1}')
}

/** Other folders of migrations: one with a file that was changed since, one without a file that was applied. */
function spoilMigrations(): void {
  for (const name of ['changed', 'lost']) {
    cpSync(join(folder, 'migrations'), join(folder, name), { recursive: true })
    configure(`${name}.json`, { migrations: `./${name}` })
  }
  const [first] = readdirSync(join(folder, 'changed')).filter((name) => name.endsWith('.sql'))
  writeFileSync(
    join(folder, 'changed', first!),
    `${readFileSync(join(folder, 'changed', first!), 'utf8')}\n-- changed\n`,
  )
  rmSync(join(folder, 'lost', first!))
  writeFileSync(join(folder, 'lost', '20991231235959_other.sql'), '-- migrate:up\nselect 1;\n')
}

const [USAGE, REFUSED] = [2, 3]

/** A purge, an export or anything else that wants one tenant by its id. */
const NO_IDS = {
  'an id in capitals': 'ACME',
  'a wildcard': 'acme*',
  'every tenant at once': '*',
  'a pattern of SQL': 'acme%',
  'two ids': 'acme,acme-2',
  'two ids with a space': 'acme acme-2',
  'an id with a newline': 'acme\n',
  'an id with a blank before it': ' acme',
  'a letter that only looks like an a': '\u0430cme',
  'an id with an invisible character': 'acme\u200b',
  nothing: '',
  'a path': '../acme',
  'a number with a leading zero': '007',
  'something much too long': 'a'.repeat(10_000),
}

const CASES: readonly [what: string, args: string[], status: number, wanted: RegExp][] = [
  ...Object.entries(NO_IDS).flatMap(([what, id]): [string, string[], number, RegExp][] => [
    [
      `purges ${what}`,
      ['tenant', 'purge', id, '--name', 'Acme Inc.'],
      USAGE,
      /A tenant id is 1 to 40 characters/,
    ],
    [`suspends ${what}`, ['tenant', 'suspend', id], USAGE, /A tenant id is 1 to 40 characters/],
  ]),
  [
    'names a shard for a tenant',
    ['tenant', 'offboard', 'shard-a'],
    REFUSED,
    /no tenant "shard-a".*tenant list/s,
  ],
  [
    'names a tenant for a shard',
    ['tenant', 'create', 'new', '--shard', 'acme'],
    REFUSED,
    /no shard "acme".*shard-a, shard-b/s,
  ],
  [
    'names a model that there is not',
    ['tenant', 'create', 'new', '--isolation', 'table'],
    USAGE,
    /shared, schema, database/,
  ],
  [
    'gives settings that are not JSON',
    ['tenant', 'create', 'new', '--settings', '{features: x}'],
    USAGE,
    /--settings.*JSON/i,
  ],
  ['gives settings that are no object', ['tenant', 'set', 'acme', '--settings', '[1]'], USAGE, /JSON object/],
  [
    'gives settings that are too large',
    ['tenant', 'set', 'acme', '--settings', JSON.stringify({ a: 'x'.repeat(20_000) })],
    USAGE,
    /at most 16384 bytes/,
  ],
  [
    'gives settings in a file that is not there',
    ['tenant', 'set', 'acme', '--settings', '@FOLDER/none.json'],
    USAGE,
    /none\.json/,
  ],
  [
    'creates a tenant that there is, on another shard',
    ['tenant', 'create', 'acme', '--shard', 'shard-b'],
    REFUSED,
    /acme exists/,
  ],
  [
    'takes the subdomain of another',
    ['tenant', 'create', 'new', '--subdomain', 'acme'],
    REFUSED,
    /"acme" belongs to tenant acme/,
  ],
  [
    'takes it later',
    ['tenant', 'set', 'acme-2', '--subdomain', 'acme'],
    REFUSED,
    /"acme" belongs to another tenant/,
  ],
  ['sets nothing', ['tenant', 'set', 'acme'], USAGE, /at least one of/],
  [
    'sets a tenant that was changed meanwhile',
    ['tenant', 'set', 'acme', '--plan', 'gold', '--unchanged-since', '2020-01-01T00:00:00Z'],
    REFUSED,
    /changed/,
  ],
  ['purges without the name', ['tenant', 'purge', 'due'], USAGE, /wanted --name/],
  [
    'purges with the id for the name of another',
    ['tenant', 'purge', 'due', '--name', 'Acme Inc.'],
    REFUSED,
    /not the name of tenant due/,
  ],
  [
    'purges with the name in capitals',
    ['tenant', 'purge', 'due', '--name', 'DUE'],
    REFUSED,
    /not the name of tenant due/,
  ],
  [
    'purges an active tenant',
    ['tenant', 'purge', 'acme', '--name', 'Acme Inc.'],
    REFUSED,
    /acme is active.*offboard acme/s,
  ],
  [
    'purges it by force',
    ['tenant', 'purge', 'acme', '--name', 'Acme Inc.', '--force', '--reason', 'now'],
    REFUSED,
    /acme is active.*offboard acme/s,
  ],
  [
    'purges before the quarantine ends',
    ['tenant', 'purge', 'gone', '--name', 'gone'],
    REFUSED,
    /lasts until.*--force --reason/s,
  ],
  [
    'purges by force without a reason',
    ['tenant', 'purge', 'gone', '--name', 'gone', '--force'],
    USAGE,
    /--force wants a --reason/,
  ],
  ['purges twice', ['tenant', 'purge', 'dead', '--name', 'dead'], REFUSED, /dead was purged at/],
  ['restores an active tenant', ['tenant', 'restore', 'acme'], REFUSED, /acme is active/],
  ['restores one that was purged', ['tenant', 'restore', 'dead'], REFUSED, /no tenant "dead"/],
  ['resumes one in quarantine', ['tenant', 'resume', 'gone'], REFUSED, /gone is offboarded.*restore gone/s],
  ['suspends one in quarantine', ['tenant', 'suspend', 'gone'], REFUSED, /gone is offboarded/],
  [
    'gives a negative number of days',
    ['tenant', 'offboard', 'acme', '--days', '-1'],
    USAGE,
    /whole number from 0/,
  ],
  [
    'gives days that are no number',
    ['tenant', 'offboard', 'acme', '--days', 'thirty'],
    USAGE,
    /whole number from 0/,
  ],
  ['works on a tenant whose creation is not finished', ['tenant', 'suspend', 'half'], REFUSED, /half|create/],
  [
    'exports into a folder that is there',
    ['tenant', 'export', 'acme', '--to', 'FOLDER/exports/acme'],
    REFUSED,
    /exports\/acme/,
  ],
  ['imports over the tenant that there is', ['tenant', 'import', 'FOLDER/exports/acme'], REFUSED, /acme/],
  [
    'imports over another one',
    ['tenant', 'import', 'FOLDER/exports/acme', '--as', 'acme-2'],
    REFUSED,
    /acme-2/,
  ],
  [
    'imports an export that was altered',
    ['tenant', 'import', 'FOLDER/exports/altered', '--as', 'new'],
    REFUSED,
    /projects/,
  ],
  [
    'imports one that lacks a file',
    ['tenant', 'import', 'FOLDER/exports/short', '--as', 'new'],
    REFUSED,
    /projects/,
  ],
  [
    'imports one whose manifest was edited',
    ['tenant', 'import', 'FOLDER/exports/unsealed', '--as', 'new'],
    REFUSED,
    /manifest/,
  ],
  [
    'imports the manifest of another program',
    ['tenant', 'import', 'FOLDER/exports/foreign', '--as', 'new'],
    REFUSED,
    /another form than shardgate-export/,
  ],
  [
    'imports an empty folder',
    ['tenant', 'import', 'FOLDER/exports/empty', '--as', 'new'],
    REFUSED,
    /manifest/,
  ],
  ['clones a tenant onto itself', ['tenant', 'clone', 'acme', '--as', 'acme'], REFUSED, /acme/],
  ['clones without a name for the clone', ['tenant', 'clone', 'acme'], USAGE, /--as/],
  ['clones over another', ['tenant', 'clone', 'acme', '--as', 'acme-2'], REFUSED, /acme-2/],
  ['migrates a shard that there is not', ['migrate', 'up', '--only', 'shard-z'], REFUSED, /shard-z/],
  ['takes a canary that there is not', ['migrate', 'up', '--canary', 'nobody'], REFUSED, /nobody/],
  ['migrates none at once', ['migrate', 'up', '--parallel', '0'], USAGE, /whole number from 1/],
  ['resumes an operation that there is not', ['operation', 'resume', '999999'], REFUSED, /999999/],
  [
    'aborts one by the id of its tenant',
    ['operation', 'abort', 'half'],
    REFUSED,
    /no operation "half".*operation list/s,
  ],
  [
    'verifies the audit log against a head of another one',
    ['audit', 'verify', '--head', `1:${'0'.repeat(64)}`],
    REFUSED,
    /Entry 1 is not the one/,
  ],
  ['verifies it against no head', ['audit', 'verify', '--head', 'latest'], USAGE, /number/],
]

describe('an operator who', () => {
  it.each(CASES)('%s is refused and changes nothing', async (_, args, status, wanted) => {
    const said = await type(args)
    expect(said).toEqual({ status, text: expect.stringMatching(wanted) })
    await expectNothingChanged(said)
  })

  it.each([
    ['a file that was changed since', 'changed.json', /changed/],
    ['a file that is gone', 'lost.json', /which the folder of migrations does not have/],
  ])('migrates with %s is refused and changes nothing', async (_, config, wanted) => {
    const said = await type(['migrate', 'up'], config)
    expect(said).toEqual({ status: 3, text: expect.stringMatching(wanted) })
    await expectNothingChanged(said)
  })

  it('works on a tenant that somebody else works on is refused and changes nothing', async () => {
    const said = await alone(fleet.fleet, tenantId('acme'), 'tenant.purge', () =>
      type(['tenant', 'suspend', 'acme']),
    )
    expect(said).toEqual({ status: 3, text: expect.stringMatching(/acme.*Wait/s) })
    await expectNothingChanged(said)
  })
})

async function expectNothingChanged({ text }: Said): Promise<void> {
  // A person reads it: short, no trace, and nothing that a terminal would obey.
  expect(text.length).toBeLessThan(1_000)
  expect(text).not.toMatch(/\bat .*\.[jt]s:\d|undefined|\[object|(?!\n)\p{Cc}/u)
  expect(changesOf(before, await stateOf(fleet))).toEqual([])
  expect(filesOf(folder)).toEqual(filesBefore)
}
