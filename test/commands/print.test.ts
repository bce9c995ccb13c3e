/** What people read of commands and type: tables that stand straight, sentences that come once, names in words. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { upText } from '../../src/commands/migrate-text.ts'
import { table } from '../../src/commands/print.ts'
import { runCommand } from '../../src/commands/program.ts'

it('a table stands straight with wide characters, accents that are characters of their own, and emoji', () => {
  const names = ['Paper 折り鶴', '한국 전자', 'ﾊﾝｶｸ', 'Ame\u0301lie', 'Rocket 🚀', 'plain']
  const columns = [
    { title: 'name', cell: (name: string) => name },
    { title: 'x', cell: () => '|' },
  ]
  // Each line as a terminal shows it: its bars are twelve columns and two from the left.
  expect(table(names, columns, false).trimEnd().split('\n')).toEqual([
    'NAME          X',
    'Paper 折り鶴  |',
    '한국 전자     |',
    'ﾊﾝｶｸ          |',
    'Ame\u0301lie        |',
    'Rocket 🚀     |',
    'plain         |',
  ])
})

it('a failure of a migration is told once, below its table', () => {
  const error = 'own: 20260101120000_notes.sql would break the isolation of tenants; nothing of it was kept.'
  const place = { shard: 'shard-a', isolation: 'schema', namespace: 'own', tenant: null } as const
  const result = { ...place, target: 'own', applied: [], ms: 1, error }
  const up = { targets: 1, canary: null, results: [result], left: [], held: [], ms: 1 }
  const text = upText(up, false)
  expect(text.split(error)).toHaveLength(2)
  expect(text).toMatch(/^own +nothing +1 {2}failed$/m)
})

it('the name of a migration may be typed in words', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-print-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const config = {
    directory: { url: 'postgres://directory:x@127.0.0.1:1/directory' },
    shards: {
      a: { url: 'postgres://app:x@127.0.0.1:1/a', ownerUrl: 'postgres://owner:x@127.0.0.1:1/a' },
    },
    tokens: [{ issuer: 'i', audience: 'a', algorithms: ['HS256'], secrets: ['s'.repeat(32)] }],
    migrations: './migrations',
  }
  writeFileSync(join(folder, 'shards.config.json'), JSON.stringify(config))
  const terminal = { out() {}, err: (text: string) => expect.fail(text), colour: false }
  const args = ['migrate', 'new', 'add', 'urgency', '-c', join(folder, 'shards.config.json')]
  const status = await runCommand(args, () => Promise.reject(new Error('no gateway')), terminal)
  expect(status).toBe(0)
  expect(readdirSync(join(folder, 'migrations'))).toEqual([
    expect.stringMatching(/^\d{14}_add_urgency\.sql$/),
  ])
})
