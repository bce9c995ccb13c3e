/** The audit log: what was changed in it is found, with the right verdict. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { appendAudit, auditHead, readAudit, verifyAudit } from '../../src/directory/audit.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'

const acme = tenantId('acme')
let test: TestFleet
let db: Client

/** Past the trigger that refuses changes, as somebody with the rights of the database would. */
const tamper = (statement: string) =>
  db.transaction(async () => {
    await db.query(`set local session_replication_role = replica; ${statement}`)
  })

const append = (action: string) =>
  db.transaction(() =>
    appendAudit(db, { operator: 'ann', action, tenant: acme, details: { b: 1, a: ['é', null] } }),
  )

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1 } })
  db = await connect(test.directoryUrl)
})
afterAll(async () => {
  await db.end()
  await test.drop()
})

async function begin(entries: number): Promise<void> {
  await tamper('delete from directory.audit')
  for (let i = 1; i <= entries; i++) await append(`did ${i}`)
}

describe('the audit log', () => {
  it('is intact when nobody has touched it, over more than one page', async () => {
    await begin(0)
    expect(await verifyAudit(db)).toEqual({ kind: 'intact', entries: 0, head: null })
    await begin(5)
    const head = await auditHead(db)
    expect(await verifyAudit(db, head ?? undefined)).toEqual({ kind: 'intact', entries: 5, head })
  })

  it('has one entry a number when many append at once', async () => {
    await begin(0)
    const clients = await Promise.all([1, 2, 3, 4].map(() => connect(test.directoryUrl)))
    const entry = { operator: 'x', action: 'at once', tenant: null, details: {} }
    await Promise.all(
      clients.map(async (client) => {
        for (let i = 0; i < 10; i++) await client.transaction(() => appendAudit(client, entry))
      }),
    )
    await Promise.all(clients.map((client) => client.end()))
    expect(await verifyAudit(db)).toMatchObject({ kind: 'intact', entries: 40 })
  })

  it('refuses changes by itself', async () => {
    await begin(2)
    for (const change of [
      `update directory.audit set operator = 'bob'`,
      'delete from directory.audit where no = 1',
      'truncate directory.audit',
    ]) {
      await expect(db.query(change)).rejects.toThrow('never changed')
    }
  })

  it.each([
    [
      'an altered operator',
      `update directory.audit set operator = 'bob' where no = 2`,
      { kind: 'altered', no: 2 },
    ],
    [
      'an altered detail',
      `update directory.audit set details = '{"a": ["é", null], "b": 2}' where no = 3`,
      { kind: 'altered', no: 3 },
    ],
    [
      'a tenant taken off',
      'update directory.audit set tenant_id = null where no = 1',
      { kind: 'altered', no: 1 },
    ],
    ['an entry taken out', 'delete from directory.audit where no = 2', { kind: 'broken', no: 3 }],
    ['the first entry taken out', 'delete from directory.audit where no = 1', { kind: 'broken', no: 2 }],
    [
      'two entries exchanged',
      `update directory.audit set no = 99 where no = 4; update directory.audit set no = 4 where no = 5;
        update directory.audit set no = 5 where no = 99`,
      { kind: 'altered', no: 4 },
    ],
  ])('finds %s', async (_, statement, verdict) => {
    await begin(5)
    await tamper(statement)
    expect(await verifyAudit(db)).toEqual(verdict)
  })

  it('finds an end that was cut off, and a chain that was written anew, by a head that was kept', async () => {
    await begin(5)
    const kept = (await auditHead(db))!
    await tamper('delete from directory.audit where no > 3')
    expect(await verifyAudit(db)).toMatchObject({ kind: 'intact', entries: 3 })
    expect(await verifyAudit(db, kept)).toEqual({ kind: 'cut', no: 5, entries: 3 })
    await append('another')
    await append('story')
    expect(await verifyAudit(db)).toMatchObject({ kind: 'intact', entries: 5 })
    expect(await verifyAudit(db, kept)).toEqual({ kind: 'rewritten', no: 5 })
  })

  it('shows the latest entries, of one tenant where that is asked', async () => {
    await begin(3)
    await db.transaction(() =>
      appendAudit(db, { operator: 'ann', action: 'other', tenant: tenantId('acme-2'), details: {} }),
    )
    expect((await readAudit(db, { limit: 2 })).map(({ no }) => no)).toEqual([3, 4])
    expect((await readAudit(db, { tenant: acme, limit: 2 })).map(({ no }) => no)).toEqual([2, 3])
  })
})
