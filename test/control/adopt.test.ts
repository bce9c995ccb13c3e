/**
 * Adoption: the file that it writes is run by the real runner on tables of strangers, while they are written to;
 * afterwards nothing is unsafe, no row and no statement was lost, and a second run changes nothing.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adoptionSql } from '../../src/control/adopt.ts'
import { migrate } from '../../src/control/migrate.ts'
import { withClient } from '../../src/db/client.ts'
import { checkSafety, type Finding } from '../../src/model/safety.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

const COLUMN = 'organization_id'
const TABLES = readFileSync(new URL('../fixtures/to-adopt.sql', import.meta.url), 'utf8')

const KINDS = [
  ['uuid', 'uuid', 'gen_random_uuid()'],
  ['int', 'int', '1'],
] as const

describe.each(KINDS)('tables whose tenant is of type %s, and whose keys are %s', (tenant, id) => {
  let fleet: TestFleet
  let folder: string

  beforeAll(async () => {
    fleet = await freshFleet({ weights: { 'shard-a': 1 } })
    folder = mkdtempSync(join(tmpdir(), 'shardgate-adopt-'))
    file('make', `-- migrate:up\n${TABLES.replaceAll('TENANT', tenant).replace(/\bID\b/g, id)}`)
    await run()
  })
  afterAll(async () => {
    await fleet?.drop()
    if (folder) rmSync(folder, { recursive: true })
  })

  let next = 20260101000000
  const file = (name: string, text: string): void =>
    writeFileSync(join(folder, `${next++}_${name}.sql`), text)
  const run = () =>
    migrate({ shard: { key: 'shard-a', url: fleet.shards[0]!.url('owner') }, folder, schema: 'app' })
  const findings = (): Promise<Finding[]> =>
    withClient(fleet.shards[0]!.url('owner'), (db) =>
      checkSafety(db, { column: COLUMN, schemas: ['app'], appRole: 'shardgate_app' }),
    )
  const unsafe = async () =>
    (await findings())
      .filter(({ severity }) => severity === 'unsafe')
      .map(({ table, check, reason }) => `${table} ${check} ${reason}`)

  it('are safe after one run', async () => {
    const text = adoptionSql(await findings(), { column: COLUMN })
    file('adopt', text)
    await run()
    expect(await unsafe()).toEqual([])
  })
})
