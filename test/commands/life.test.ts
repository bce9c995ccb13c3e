/** A tenant's life on the command line: what is printed, what is refused, and with which exit status. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { runCommand } from '../../src/commands/program.ts'
import { insertOperation } from '../../src/control/operations/store.ts'
import { canary } from '../kit/canary.ts'
import { type LifeWorld, lifeWorld } from '../kit/life.ts'
import { printing } from '../kit/terminal.ts'

let world: LifeWorld
const NAME = canary('acme').text('name')

beforeAll(async () => {
  world = await lifeWorld()
  await world.add('acme', 'schema')
  await world.add('acme-2', 'shared')
})
afterAll(() => world?.drop())

async function cli(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const { terminal, printed } = printing()
  const status = await runCommand(
    [...args, '-c', world.configFile],
    () => Promise.reject(new Error('no gateway')),
    terminal,
  )
  return { status, ...printed }
}

const inFolder = (name: string): string => join(world.configFile, '..', name)

/** Everything in the directory that a refused command could have changed. */
async function written(): Promise<string> {
  const rows = await world.directory.query(`
    select (select json_agg(t order by id) from directory.tenant t) as tenants,
      (select count(*) from directory.operation) as operations, (select count(*) from directory.audit) as audit`)
  return JSON.stringify(rows)
}

describe('commands that are refused', () => {
  it.each([
    [2, /wanted at least one of/, ['tenant', 'set', 'acme']],
    [2, /A tenant id is 1 to 40 characters/, ['tenant', 'suspend', 'Acme']],
    [2, /A tenant id is 1 to 40 characters/, ['tenant', 'purge', 'acm*', '--name', 'x']],
    [2, /Missing required argument 'id'/, ['tenant', 'offboard']],
    [2, /Too many arguments/, ['tenant', 'offboard', 'acme', 'acme-2']],
    [2, /Wanted a whole number from 0 to 3650/, ['tenant', 'offboard', 'acme', '--days', '-1']],
    [2, /wanted \+name or -name; "beta" came/, ['tenant', 'set', 'acme', '--feature', 'beta']],
    [2, /wanted a name and a number, "depth=8"; "depth" came/, ['tenant', 'set', 'acme', '--limit', 'depth']],
    [2, /no limit "dept"\. Did you mean "depth"/, ['tenant', 'set', 'acme', '--limit', 'dept=8']],
    [
      2,
      /depth: wanted a whole number from 1 to 100; 101 came/,
      ['tenant', 'set', 'acme', '--limit', 'depth=101'],
    ],
    [2, /no limit "speed"\. They are requestsPerMinute, /, ['tenant', 'set', 'acme', '--no-limit', 'speed']],
    [2, /on and off at once/, ['tenant', 'set', 'acme', '--feature', '+a', '--feature', '-a']],
    [2, /wanted a JSON object/, ['tenant', 'set', 'acme', '--settings', '[1]']],
    [2, /wanted a JSON object or @file/, ['tenant', 'set', 'acme', '--settings', '@no-such-file']],
    [2, /A subdomain is/, ['tenant', 'set', 'acme', '--subdomain', 'a.b']],
    [2, /1 to 200 visible characters/, ['tenant', 'set', 'acme', '--name', '\u001b[2J']],
    [2, /wanted --name "…"/, ['tenant', 'purge', 'acme']],
    [2, /--force wants a --reason/, ['tenant', 'purge', 'acme', '--name', NAME, '--force']],
    [2, /cannot be used with/, ['tenant', 'purge', 'acme', '--name', NAME, '--revived']],
    [
      3,
      /acme is active; a tenant is purged from its quarantine/,
      ['tenant', 'purge', 'acme', '--name', NAME],
    ],
    [3, /That is not the name of tenant acme/, ['tenant', 'purge', 'acme', '--name', 'acme']],
    [3, /That is not the name/, ['tenant', 'purge', 'acme', '--name', canary('acme-2').text('name')]],
    [3, /No backup has brought acme back/, ['tenant', 'purge', 'acme', '--revived']],
    [3, /There is no tenant "acm"/, ['tenant', 'suspend', 'acm']],
    [3, /acme is active; "restore" wants one that is offboarded/, ['tenant', 'restore', 'acme']],
    [3, /There is no receipt of a purge of acme/, ['tenant', 'receipt', 'acme']],
    [3, /belongs to another tenant/, ['tenant', 'set', 'acme', '--subdomain', 'acme-2']],
    [3, /after 2020-01-01/, ['tenant', 'set', 'acme', '--plan', 'x', '--unchanged-since', '2020-01-01']],
  ] as const)('exit %i: %s', async (status, sentence, args) => {
    const before = await written()
    const refused = await cli(...args)
    expect(refused.err).toMatch(sentence)
    expect(refused).toMatchObject({ status, out: '' })
    expect(await written()).toBe(before)
  })
})

describe('what was killed', () => {
  it('is told as unfinished, with the one command that goes on with it', async () => {
    const creating = (state: string) =>
      world.directory.query({
        text: 'update directory.tenant set state = $1 where id = $2',
        values: [state, 'acme-2'],
      })
    await creating('creating')
    const wanted = { kind: 'tenant.export', tenant: tenantId('acme-2'), input: {}, operator: 'ann' }
    const { id } = await insertOperation(world.directory, wanted)
    expect((await cli('operation', 'list')).out).toMatch(/ {2}acme-2 +unfinished /)
    const { out } = await cli('doctor')
    expect(out).toContain(`Run "shardgate operation resume ${id}"`)
    expect(out).not.toContain('shardgate tenant create acme-2')
    await creating('active')
    expect((await cli('operation', 'abort', id)).status).toBe(0)
  })
})

describe('the way of a tenant', () => {
  it('from the first change to the proof that it is gone', async () => {
    expect((await cli('tenant', 'set', 'acme', '--plan', 'gold', '--feature', '+beta')).out).toMatch(
      /^Changed of acme: plan, settings\.\nFor the next change: --unchanged-since "20/,
    )
    expect((await cli('tenant', 'set', 'acme', '--plan', 'gold')).out).toBe(
      'acme is so already; nothing was changed.\n',
    )
    const limits = ['--limit', 'depth=14', '--limit', 'requestsPerMinute=6000']
    expect((await cli('tenant', 'set', 'acme', ...limits)).out).toMatch(/^Changed of acme: limits\.\n/)
    expect((await cli('tenant', 'set', 'acme', '--no-limit', 'depth', '--limit', 'rows=5')).status).toBe(0)
    expect((await cli('tenant', 'show', 'acme')).out).toMatch(/limits +\{"rows":5,"requestsPerMinute":6000\}/)
    expect((await cli('tenant', 'suspend', 'acme', '--reason', 'unpaid')).out).toBe(
      'acme was active and is suspended.\nRequests are refused with TENANT_SUSPENDED. The way back: shardgate tenant resume acme\n',
    )
    expect((await cli('tenant', 'suspend', 'acme')).out).toBe(
      'acme is suspended already; nothing was changed.\n',
    )
    expect((await cli('tenant', 'show', 'acme')).out).toMatch(/^because +unpaid$/m)
    expect((await cli('tenant', 'resume', 'acme')).out).toBe(
      'acme was suspended and is active.\nIt works again.\n',
    )
    expect((await cli('tenant', 'show', 'acme')).out).not.toContain('because')
    const offboarded = await cli('tenant', 'offboard', 'acme', '--days', '0')
    expect(offboarded.out).toMatch(/^acme was active and is offboarded\.\nIt may be purged from 20.* on\.\n/)
    const preview = await cli('tenant', 'purge', 'acme', '--dry-run')
    expect(preview.out).toMatch(/app\.labels\s+8\n/)
    expect(preview.out).toContain('3. drop the schema tenant_acme on shard-a and its role')
    const purged = await cli('tenant', 'purge', 'acme', '--name', NAME)
    expect(purged.status).toBe(0)
    expect(purged.out).toMatch(/^acme is erased: 20 rows,/)
    const receipt = await cli('tenant', 'receipt', 'acme')
    writeFileSync(inFolder('receipt.json'), receipt.out)
    const checked = await cli('tenant', 'receipt', 'acme', '--check', inFolder('receipt.json'))
    expect(checked.out).toMatch(/^The receipt of acme is as it was written: entry \d+ of the audit log,/)
    writeFileSync(inFolder('altered.json'), receipt.out.replace('"rows": 20', '"rows": 21'))
    const altered = await cli('tenant', 'receipt', 'acme', '--check', inFolder('altered.json'))
    expect(altered).toMatchObject({
      status: 3,
      err: expect.stringContaining('The audit log has no receipt of acme'),
    })
    expect((await cli('tenant', 'revived')).out).toBe('No tenant that was purged has come back.\n')
  })
})
