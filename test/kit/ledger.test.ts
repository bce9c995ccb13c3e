/** The ledger: nothing counts before it is on disk, and every kind of damage gets its name. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Ledger, openLedger } from './ledger.ts'

let folder: string
let ledger: Ledger
const file = () => join(folder, 'ledger')
const write = (key: string | number, tenant = 'acme') => ({ tenant, key: String(key) })

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ledger-'))
  ledger = await openLedger(file())
})
afterEach(async () => {
  await ledger.close()
  rmSync(folder, { recursive: true })
})

it('has a write in the file before it counts it', async () => {
  const noted = ledger.acknowledged(write(1))
  expect(ledger.count).toBe(0)
  await noted
  expect(ledger.count).toBe(1)
  expect(readFileSync(file(), 'utf8')).toContain('"acknowledged","acme","1"')
})

it('writes down every one of many at once, each in a line', async () => {
  await Promise.all(Array.from({ length: 500 }, (_, i) => ledger.acknowledged(write(i))))
  await Promise.all(Array.from({ length: 500 }, (_, i) => ledger.acknowledged(write(i, 'globex'))))
  expect(readFileSync(file(), 'utf8').split('\n')).toHaveLength(1001)
  expect(ledger.count).toBe(1000)
})

it('finds nothing wrong where nothing is', async () => {
  await ledger.acknowledged(write(1))
  await ledger.acknowledged(write(1, 'globex'))
  expect(ledger.reconcile([write(1), write(1, 'globex')])).toEqual({ lost: [], duplicated: [], unknown: [] })
})

it('names what is lost, what is there twice, and what nobody promised', async () => {
  for (const key of [1, 2, 3]) await ledger.acknowledged(write(key))
  const rows = [write(1), write(2), write(2), write(4), write(3, 'globex')]
  expect(ledger.reconcile(rows)).toEqual({
    lost: [write(3)],
    duplicated: [write(2)],
    unknown: [write(4), write(3, 'globex')],
  })
})

it('allows an unsure write to be there once or not at all, and not twice', async () => {
  await ledger.unsure(write(1))
  expect(ledger.reconcile([])).toEqual({ lost: [], duplicated: [], unknown: [] })
  expect(ledger.reconcile([write(1)])).toEqual({ lost: [], duplicated: [], unknown: [] })
  expect(ledger.reconcile([write(1), write(1)]).duplicated).toEqual([write(1)])
})

it('goes on after a crash, without the line that was cut off', async () => {
  await ledger.acknowledged(write(1))
  await ledger.close()
  writeFileSync(file(), '["acknowledged","acme","2', { flag: 'a' })
  ledger = await openLedger(file())
  expect(ledger.count).toBe(1)
  expect(ledger.reconcile([]).lost).toEqual([write(1)])
  await ledger.acknowledged(write(3))
  await ledger.close()
  ledger = await openLedger(file())
  expect(ledger.reconcile([]).lost).toEqual([write(1), write(3)])
})
