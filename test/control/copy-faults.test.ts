/**
 * What goes wrong with exports and imports: folders that were changed, by accident and on purpose, kills, cut
 * connections, a disk that is full, rows that change meanwhile. Either all is there and right, or nothing is left.
 *
 * No value of a file is ever a formula of somebody's: the files are COPY's text, read by Postgres alone, and nothing
 * here opens them with a spreadsheet.
 */

import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canonicalJson } from '../../src/base/canonical.ts'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { CLONE } from '../../src/control/copy/clone-steps.ts'
import { EXPORT, type ExportResult, exportTenant } from '../../src/control/copy/export.ts'
import { cloneTenant, importTenant } from '../../src/control/copy/import.ts'
import { IMPORT } from '../../src/control/copy/import-steps.ts'
import { changeState } from '../../src/control/life/state.ts'
import { abortOperation, resumeOperation } from '../../src/control/operations/unfinished.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import { ISOLATIONS } from '../../src/directory/types.ts'
import { stateOf } from '../kit/fleet-state.ts'
import { dyingAt, type LifeWorld, lifeWorld, refusal } from '../kit/life.ts'
import { some } from '../kit/some.ts'

let world: LifeWorld
let temporary: string
let source: TenantId
let kept: ExportResult

beforeAll(async () => {
  world = await lifeWorld()
  temporary = mkdtempSync(join(tmpdir(), 'shardgate-copy-'))
  source = await world.add('source')
  kept = await exportTenant(world.fleet, source)
  // What the first home of its model leaves for the next ones on a shard: a template, a structure.
  for (const isolation of ISOLATIONS) {
    await importTenant(world.fleet, kept.folder, {
      as: tenantId(`first-${isolation}`),
      isolation,
      shard: 'shard-b',
    })
  }
})
afterAll(async () => {
  await world?.drop()
  if (temporary) rmSync(temporary, { recursive: true })
})

const state = (): Promise<string[]> => stateOf(world.test, { lasting: true })

let copies = 0
/** A copy of the export that a test may spoil. */
function copyOfExport(): string {
  const folder = join(temporary, `export-${copies++}`)
  cpSync(kept.folder, folder, { recursive: true })
  return folder
}

/** Path of the file of a table. */
function fileIn(folder: string, table: string): string {
  return join(folder, kept.manifest.tables.find((file) => file.table === table)!.file)
}

const change = (path: string, how: (text: string) => string): void => {
  const [before, after] = [readFileSync(path, 'utf8'), how(readFileSync(path, 'utf8'))]
  expect(after).not.toBe(before)
  writeFileSync(path, after)
}

/** Make the manifest agree with the files as they are now, all but the contents that Postgres had. */
function forge(folder: string): void {
  const path = join(folder, 'manifest.json')
  const { seal: _, ...manifest } = JSON.parse(readFileSync(path, 'utf8'))
  for (const table of manifest.tables) {
    const bytes = readFileSync(join(folder, table.file))
    table.bytes = bytes.length
    table.sha256 = createHash('sha256').update(bytes).digest('hex')
  }
  const seal = createHash('sha256').update(canonicalJson(manifest)).digest('hex')
  writeFileSync(path, JSON.stringify({ ...manifest, seal }))
}

const flipBit = (path: string, at: number): void => {
  const bytes = readFileSync(path)
  bytes[at]! ^= 1
  writeFileSync(path, bytes)
}

describe('a folder that was changed by accident', () => {
  const accidents: Readonly<Record<string, (folder: string) => void>> = {
    'a bit of a file': (folder) => flipBit(fileIn(folder, 'app.tasks'), 20),
    'a file that ends early': (folder) => change(fileIn(folder, 'app.tasks'), (text) => text.slice(0, -3)),
    'a file that is missing': (folder) => unlinkSync(fileIn(folder, 'app.labels')),
    'two files changed about': (folder) => {
      const [a, b] = [fileIn(folder, 'app.tasks'), fileIn(folder, 'app.labels')]
      const text = readFileSync(a)
      writeFileSync(a, readFileSync(b))
      writeFileSync(b, text)
    },
    'a bit of the manifest': (folder) =>
      change(join(folder, 'manifest.json'), (text) =>
        text.replace('"plan": "standard"', '"plan": "ttandard"'),
      ),
    'a manifest that ends early': (folder) =>
      change(join(folder, 'manifest.json'), (text) => text.slice(0, text.length / 2)),
    'no manifest': (folder) => unlinkSync(join(folder, 'manifest.json')),
    'a manifest of another form': (folder) => {
      change(join(folder, 'manifest.json'), (text) =>
        text.replace('shardgate-export-1', 'shardgate-export-9'),
      )
      forge(folder)
    },
    'a file beyond the folder': (folder) => {
      change(join(folder, 'manifest.json'), (text) => text.replace('"file": "', '"file": "../'))
      const path = join(folder, 'manifest.json')
      const { seal: _, ...manifest } = JSON.parse(readFileSync(path, 'utf8'))
      const seal = createHash('sha256').update(canonicalJson(manifest)).digest('hex')
      writeFileSync(path, JSON.stringify({ ...manifest, seal }))
    },
  }

  it.each(some(4, Object.keys(accidents)))('G22: %s is found, and nothing was changed', async (name) => {
    const folder = copyOfExport()
    accidents[name]!(folder)
    const before = await state()
    const { code, message } = await refusal(importTenant(world.fleet, folder, { as: tenantId('spoilt') }))
    expect(code, message).toBe('REFUSED')
    expect(message).toContain(folder)
    expect(await state()).toEqual(before)
  })
})

describe('a folder that was changed on purpose, hashes of files and all', () => {
  const lines = (text: string): string[] => text.split('\n').slice(0, -1)
  const forgeries: Readonly<Record<string, readonly [table: string, (text: string) => string]>> = {
    'a bit': ['app.projects', (text) => text.replace('project-1', 'project-0')],
    'a missing row': ['app.labels', (text) => text.slice(text.indexOf('\n') + 1)],
    'an extra row': ['app.labels', (text) => `${text}4\tword of nobody\n`],
    'a row twice': ['app.projects', (text) => `${text}${lines(text)[0]}\n`],
    'two columns of a row changed about': [
      'app.projects',
      (text) => text.replace(/^(\{[^\t]*\})\t(\d+)\t/m, '$1\t1$2\t'),
    ],
    'a trailing space': ['app.labels', (text) => text.replace(/\n/, ' \n')],
    'null for a text': ['app.tasks', (text) => text.replace(/\t\\N/, '\t1')],
    'one tenant more in front of a line': ['app.labels', (text) => text.replace(/^/, 'source\t')],
    'an end of data in the middle': ['app.labels', (text) => text.replace('\n', '\n\\.\n')],
    'a value of another type': ['app.tasks', (text) => text.replace(/\t(todo|doing|done)\t/, '\tundone\t')],
  }

  it.each(some(4, Object.keys(forgeries)))('G22: %s is found, and nothing is left', async (name) => {
    const folder = copyOfExport()
    const [table, how] = forgeries[name]!
    change(fileIn(folder, table), how)
    forge(folder)
    const before = await state()
    const isolation = ISOLATIONS[copies % 3]!
    const { code, message } = await refusal(
      importTenant(world.fleet, folder, { as: tenantId('forged'), isolation, shard: 'shard-b' }),
    )
    expect(code, message).toBe('REFUSED')
    expect(await state()).toEqual(before)
  })

  it('lets no line be of another tenant: its id is not in the files', () => {
    for (const { file } of kept.manifest.tables) {
      const rows = lines(readFileSync(join(kept.folder, file), 'utf8'))
      for (const row of rows) expect(row.split('\t')).not.toContain(source)
    }
  })

  it('a row that refers to one that is not there is found by its foreign key', async () => {
    const orphaned = await world.add('orphaned')
    await withClient(world.test.shards[0]!.superuserUrl, async (db) => {
      await db.query(`set session_replication_role = replica`)
      await db.query(`delete from app.tasks where tenant_id = 'orphaned' and id = 1`)
    })
    const { folder } = await exportTenant(world.fleet, orphaned)
    const before = await state()
    const { message } = await refusal(importTenant(world.fleet, folder, { as: tenantId('orphan-2') }))
    expect(message).toMatch(/A row of app\.\w+ refers by \w+ to a row of app\.tasks that is not there/)
    expect(await state()).toEqual(before)
  })
})

describe('an import that is refused before anything is changed', () => {
  const refused = async (fleet: Fleet, options: Parameters<typeof importTenant>[2], folder = kept.folder) => {
    const before = await state()
    const { code, message, hint } = await refusal(importTenant(fleet, folder, options))
    expect(await state()).toEqual(before)
    return `${code}: ${message} ${hint}`
  }

  it('of an id or a subdomain that is taken', async () => {
    expect(await refused(world.fleet, {})).toMatch(/^TENANT_EXISTS: There is a tenant source already/)
    expect(await refused(world.fleet, { as: tenantId('free'), subdomain: 'source' })).toMatch(
      /^TENANT_EXISTS/,
    )
  })

  it('to a shard without a mover, with what to set', async () => {
    const shards = world.fleet.shards.map(({ moverUrl: _, ...shard }) => shard)
    expect(await refused({ ...world.fleet, shards }, { as: tenantId('free'), shard: 'shard-b' })).toMatch(
      /^SETUP_FAILED: .* Set shards\.shard-b\.moverUrl/,
    )
  })

  it('to a shard whose tables differ, with the lines that differ', async () => {
    const onB = (text: string) => withClient(world.test.shards[1]!.superuserUrl, (db) => db.query(text))
    await onB(`set role shardgate_owner; alter table app.tasks add column extra int`)
    const said = await refused(world.fleet, { as: tenantId('free'), shard: 'shard-b' })
    await onB(`set role shardgate_owner; alter table app.tasks drop column extra`)
    expect(said).toMatch(/^REFUSED: The tables of shard-b differ .*\n {2}\+ column tasks\.extra integer/)
  })

  it('to a shard at another migration', async () => {
    const onB = (text: string) => withClient(world.test.shards[1]!.superuserUrl, (db) => db.query(text))
    await onB(`insert into shardgate.migration (version, name, checksum) values ('20990101000000', 'x', 'x')`)
    const said = await refused(world.fleet, { as: tenantId('free'), shard: 'shard-b' })
    await onB(`delete from shardgate.migration where version = '20990101000000'`)
    expect(said).toContain('at migration 20260101000000, and shard-b is at 20990101000000')
  })

  it('where rows of that id are already, which stay', async () => {
    const onB = (text: string) => withClient(world.test.shards[1]!.superuserUrl, (db) => db.query(text))
    await onB(`insert into app.projects (tenant_id, id, name) values ('stray', 1, 'of nobody')`)
    expect(await refused(world.fleet, { as: tenantId('stray'), shard: 'shard-b' })).toContain(
      'shard-b has rows of stray in app.projects already',
    )
    await onB(`delete from app.projects where tenant_id = 'stray'`)
  })
})

describe('an export', () => {
  it('70: is of one moment, whatever is written meanwhile', async () => {
    const id = await world.add('moving')
    const hash = await world.hashOf(id)
    let changed = false
    const { manifest } = await exportTenant(world.fleet, id, {
      report: () => {
        // By another process, while this one stands still: two tables at most are under way, and the rest comes later.
        if (!changed) changed = changeAll('moving')
      },
    })
    expect(changed).toBe(true)
    expect(manifest.hash).toBe(hash)
    expect(await world.hashOf(id)).not.toBe(hash)
  })

  function changeAll(tenant: string): true {
    const url = JSON.stringify(world.test.shards[0]!.superuserUrl)
    const statements = `delete from app.labels where tenant_id = '${tenant}';
      update app.projects set name = name || '!' where tenant_id = '${tenant}';
      update app.tasks set title = title || '!' where tenant_id = '${tenant}';
      update app.invoices set cents = cents + 1 where tenant_id = '${tenant}'`
    const script = `import pg from 'pg'; const db = new pg.Client(${url}); await db.connect();
      await db.query(${JSON.stringify(statements)}); await db.end()`
    execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: join(import.meta.dirname, '../..'),
    })
    return true
  }

  it('works of tenants that are read-only, suspended or in quarantine', async () => {
    const id = await world.add('closed')
    const hash = await world.hashOf(id)
    for (const change of ['read-only', 'suspend', 'offboard'] as const) {
      if (change === 'suspend') await changeState(world.fleet, 'resume', id, {})
      await changeState(world.fleet, change, id, {})
      expect((await exportTenant(world.fleet, id)).manifest.hash).toBe(hash)
    }
  })

  it('fails where a policy hides rows of the tenant from the owner', async () => {
    const id = await world.add('hidden')
    const run = (text: string) => withClient(world.test.shards[0]!.superuserUrl, (db) => db.query(text))
    await run(`create policy hides on app.projects as restrictive using (budget_cents % 2 = 0)`)
    await run(`update app.projects set budget_cents = id where tenant_id = 'hidden'`)
    const { code, message } = await refusal(exportTenant(world.fleet, id))
    await run(`drop policy hides on app.projects`)
    expect(`${code}: ${message}`).toMatch(
      /^TABLE_UNSAFE: app\.projects holds 4 rows .* its owner sees \d of them/,
    )
    await abortOperation(world.fleet, await running())
  })

  it('70: into a folder that is there already is refused', async () => {
    const before = await state()
    const { code, message } = await refusal(exportTenant(world.fleet, source, { to: kept.folder }))
    expect(`${code}: ${message}`).toContain('REFUSED')
    expect(await state()).toEqual(before)
  })

  it('70: on a disk that is full leaves no manifest, says so, and goes on when there is room', async () => {
    const id = await world.add('large', 'shared', 40)
    await withClient(world.test.shards[0]!.superuserUrl, (db) =>
      db.query(
        `update app.projects set notes = to_jsonb(repeat(md5(id::text), 1000)) where tenant_id = 'large'`,
      ),
    )
    const folder = join(temporary, 'full')
    // The files of this process may have 64 blocks of 512 bytes, and then no more, as on a full disk.
    const cli = `${process.execPath} ${join(import.meta.dirname, '../../src/cli.ts')}`
    const args = `tenant export large --to ${folder} --config ${world.configFile}`
    const run = promisify(execFile)('sh', ['-c', `ulimit -f 64; trap '' XFSZ; exec ${cli} ${args}`])
    const { code, stderr } = await run.then(
      () => ({ code: 0, stderr: '' }),
      (error: { code: number; stderr: string }) => error,
    )
    expect(code, stderr).toBe(1)
    expect(stderr).toMatch(/The export to .*full\.partial was not finished: the file may not grow any more\./)
    expect(() => statSync(folder)).toThrow()
    expect(() => statSync(`${folder}.partial`)).toThrow()
    const { manifest } = await exportTenant(world.fleet, id, { to: folder })
    expect(manifest.hash).toBe(await world.hashOf(id))
  })
})

describe('a connection that is cut', () => {
  /** Hold a table, see somebody of the role wait for it, and end all sessions of that role. */
  async function cutWaiting(
    role: 'mover' | 'owner',
    shard: number,
    lock: string,
    work: () => Promise<unknown>,
  ) {
    return withClient(world.test.shards[shard]!.superuserUrl, async (db) => {
      await db.query(`begin; lock table app.labels in ${lock} mode`)
      const refused = refusal(work())
      const mine = `usename = 'shardgate_${role}' and datname = current_database()`
      const waits = `select from pg_locks where relation = 'app.labels'::regclass and not granted`
      while ((await db.query(waits)).length === 0) await db.query('select pg_sleep(0.01)')
      await db.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${mine}`)
      await db.query('commit')
      return refused
    })
  }

  it('during an import leaves nothing visible; it is resumed, and all is right', async () => {
    const id = tenantId('cut-off')
    const { code, message } = await cutWaiting('mover', 1, 'share', () =>
      importTenant(world.fleet, kept.folder, { as: id, isolation: 'shared', shard: 'shard-b' }),
    )
    expect(code, message).toBe('SHARD_UNAVAILABLE')
    expect(message).toMatch(/^Loading the rows of cut-off was cut off/)
    expect((await findTenant(world.directory, id))?.state).toBe('creating')
    await resumeOperation(world.fleet, await running())
    expect(await world.hashOf(id)).toBe(kept.manifest.hash)
  })

  it('during an export leaves no folder; it is aborted, and nothing is written down', async () => {
    const folder = join(temporary, 'cut')
    const before = await state()
    const { code, message } = await cutWaiting('owner', 0, 'access exclusive', () =>
      exportTenant(world.fleet, source, { to: folder }),
    )
    expect(code, message).toBe('SHARD_UNAVAILABLE')
    for (const path of [folder, `${folder}.partial`]) expect(() => statSync(path)).toThrow()
    await abortOperation(world.fleet, await running())
    expect(await state()).toEqual(before)
  })
})

/** After a step, before it is written down: what is done must be found when it is run again. */
const places = ({ name, steps }: { name: string; steps: readonly { name: string }[] }): string[] =>
  steps.map((step) => `after ${name} ${step.name}`)

const running = async (): Promise<string> => {
  const [open] = await world.directory.query(`select id from directory.operation where state = 'running'`)
  return open?.id ?? ''
}

describe('a kill', () => {
  it.each(places(EXPORT))('%s: aborted there is nothing, resumed there is all', async (place) => {
    const folder = join(temporary, place.replaceAll(' ', '-'))
    const before = await state()
    await refusal(exportTenant(dyingAt(world.fleet, place), source, { to: folder }))
    await abortOperation(world.fleet, await running())
    expect(await state()).toEqual(before)
    for (const path of [folder, `${folder}.partial`]) expect(() => statSync(path)).toThrow()
    await refusal(exportTenant(dyingAt(world.fleet, place), source, { to: folder }))
    await resumeOperation(world.fleet, await running())
    expect(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')).hash).toBe(kept.manifest.hash)
  })

  const copied = [
    ...places(IMPORT).map((place, i) => ({ place, isolation: ISOLATIONS[i % 3]! })),
    // A clone takes the same steps, and another one to load its rows.
    ...places(CLONE)
      .filter((place) => place.endsWith('load rows'))
      .flatMap((place) => ISOLATIONS.map((isolation) => ({ place, isolation }))),
  ]
  it.each(some(5, copied))(
    '$place ($isolation): aborted there is nothing, resumed there is all',
    async ({ place, isolation }) => {
      const id = tenantId(`${place.replace(/^after tenant\./, '').replaceAll(' ', '-')}-${isolation}`)
      const run = (fleet: Fleet) =>
        place.includes('clone')
          ? cloneTenant(fleet, source, { as: id, isolation, shard: 'shard-b' })
          : importTenant(fleet, kept.folder, { as: id, isolation, shard: 'shard-b' })
      const before = await state()
      await refusal(run(dyingAt(world.fleet, place)))
      const number = await running()
      if (place.endsWith('activate')) {
        expect((await refusal(abortOperation(world.fleet, number))).code).toBe('REFUSED')
      } else {
        await abortOperation(world.fleet, number)
        expect(await state()).toEqual(before)
        await refusal(run(dyingAt(world.fleet, place)))
      }
      await run(world.fleet)
      expect(await world.hashOf(id)).toBe(kept.manifest.hash)
      expect(await running()).toBe('')
    },
  )
})
