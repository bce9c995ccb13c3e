/** What migrations make of texts: names of a target's own, locks and removals that can be read, names of new files. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readMigrations } from '../../src/control/migrate/files.ts'
import { ownNames } from '../../src/control/migrate/names.ts'
import { newMigration } from '../../src/control/migrate/new.ts'
import { locksOf, unmarkedRemovalsOf } from '../../src/control/migrate/reading.ts'
import { migrationFolder } from '../kit/migration-folder.ts'

const folder = migrationFolder()
afterAll(() => folder.remove())

const OWN = {
  name: 'own',
  isolation: 'schema',
  schema: 'tenant_a-b',
  sharedSchema: 'app',
  schemas: ['tenant_a-b'],
  book: 'tenant_a-b',
  appRole: 'shardgate_1_a-b',
} as const

describe('names in a schema of a tenant’s own', () => {
  it.each([
    [
      'select * from app.t, "app".t, APP . t',
      'select * from "tenant_a-b".t, "tenant_a-b".t, "tenant_a-b" . t',
    ],
    [
      'grant select on t to shardgate_app, "shardgate_app"',
      'grant select on t to "shardgate_1_a-b", "shardgate_1_a-b"',
    ],
    [
      'grant usage on schema app to x; create schema if not exists app',
      'grant usage on schema "tenant_a-b" to x; create schema if not exists "tenant_a-b"',
    ],
    ["do $$ begin perform app.f('app.t'); end $$", `do $$ begin perform "tenant_a-b".f('app.t'); end $$`],
  ])('%s', (text, wanted) => {
    expect(ownNames(text, OWN)).toBe(wanted)
  })

  it.each([
    "select 'app.t', E'it\\'s app.t', $x$'app.t'$x$",
    '-- app.t and shardgate_app',
    '/* app.t */ select "my app.t", "App".t, myapp.t, x.app.t, app_x.t, app',
    "set local app.current_tenant_id = 'x'",
    'select shardgate_application, shardgate.current_tenant()',
  ])('leave alone: %s', (text) => {
    expect(ownNames(text, OWN)).toBe(text)
  })

  it('are left as they are where the shared schema is meant', () => {
    const shared = { ...OWN, isolation: 'shared', schema: 'app', appRole: 'shardgate_app' } as const
    expect(ownNames('select * from app.t', shared)).toBe('select * from app.t')
  })
})

describe('what a statement holds up and removes', () => {
  it.each([
    ['alter table t add a int', 'stops all requests of t for a moment', undefined],
    ['alter table t validate constraint c', undefined, undefined],
    [
      'alter table only "T" add constraint c foreign key (a) references b',
      'stops writes of "T" and',
      undefined,
    ],
    [
      'alter table t add constraint c foreign key (a) references b not valid',
      'stops all requests of t for a moment',
      undefined,
    ],
    [
      'alter table t alter column a type bigint',
      'stops all requests of t while every row is written',
      'changes the type of a column of t',
    ],
    [
      'alter table t alter a set not null',
      'stops all requests of t while every row is read',
      'refuses rows of t',
    ],
    ['alter table t drop a', 'stops all requests of t for a moment', 'drops a column of t'],
    ['alter table t alter a drop default', 'stops all requests of t for a moment', undefined],
    ['alter table t rename a to b', 'stops all requests of t for a moment', 'renames a part of t'],
    ['drop table if exists app.t', 'stops all requests of app.t', 'drops the table app.t'],
    ['create index i on t (a)', 'stops writes of t while the index is built', undefined],
    ['create unique index concurrently i on t (a)', undefined, undefined],
    ['truncate t', 'stops all requests of t', 'empties t'],
    ['/* a */ -- b\n drop view v', undefined, 'drops the view v'],
    ['create table n (id int); alter table n add a int; drop table n', undefined, undefined],
    ["insert into t values ('drop table t')", undefined, undefined],
  ])('%s', (up, locks, removes) => {
    const migration = { ...readMigrationsOf(up) }
    const matching = (text: string | undefined) => (text ? [expect.stringContaining(text)] : [])
    expect(locksOf(migration).map(({ text }) => text)).toEqual(matching(locks))
    expect(unmarkedRemovalsOf(migration).map(({ text }) => text)).toEqual(matching(removes))
    expect(unmarkedRemovalsOf({ ...migration, contract: true })).toEqual([])
  })
})

function readMigrationsOf(up: string) {
  folder.add('one', up)
  return readMigrations(folder.path).at(-1)!
}

describe('marks of a file', () => {
  it('say in which phase, for whom and where it is run', () => {
    folder.add('marked', 'select 1', 'phase:contract per:tenant in:shared,database')
    expect(readMigrations(folder.path).at(-1)).toMatchObject({
      contract: true,
      perTenant: true,
      models: ['shared', 'database'],
      code: null,
      whole: true,
    })
  })

  it.each(['phase:later', 'per:row', 'in:everywhere', 'per:tenant transaction:false'])(
    'refuse what cannot be meant: %s',
    (marks) => {
      const other = migrationFolder()
      other.add('marked', 'select 1', marks)
      expect(() => readMigrations(other.path)).toThrow(/_marked\.sql: /)
      other.remove()
    },
  )
})

describe('a new file', () => {
  it('is empty, has both parts, and sorts behind what is there, whatever the clock says', () => {
    const clock = { now: () => Date.UTC(2020, 0, 1), elapsed: () => 0 }
    const file = newMigration(folder.path, 'Add  priority', { clock })
    expect(readFileSync(file, 'utf8')).toMatch(/^-- migrate:up\n\n\n-- migrate:down\n/m)
    expect(readMigrations(folder.path).at(-1)).toMatchObject({ name: 'add_priority', up: '\n\n' })
    const next = newMigration(folder.path, 'fill', { clock, rows: true })
    expect(readMigrations(folder.path).at(-1)).toMatchObject({ code: next, perTenant: true })
  })

  it.each(['', '../up', 'ö', 'x'.repeat(101)])('of the name %j is refused', (name) => {
    expect(() => newMigration(join(folder.path, 'elsewhere'), name)).toThrow(/A name has letters/)
  })
})
