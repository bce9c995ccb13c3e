/** Golden files: each case of the folder gives the statements and the answer that stand in it (kit/golden.ts). */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Golden, openGolden } from '../kit/golden.ts'

const FOLDER = new URL('golden/', import.meta.url)
let golden: Golden

beforeAll(async () => {
  golden = await openGolden()
})
afterAll(() => golden?.stop())

it.each(readdirSync(FOLDER))('%s; if the change is wanted: UPDATE_GOLDEN=1', async (file) => {
  const path = new URL(file, FOLDER)
  const text = readFileSync(path, 'utf8')
  const rendered = await golden.render(text)
  if (process.env.UPDATE_GOLDEN) writeFileSync(path, rendered)
  else expect(text).toBe(rendered)
})
