/** Pages that are printed from the code say what the code says; and the printer names every variable. */

import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { configJsonSchema } from '../../src/base/config-schema.ts'
import { COMMAND_VARIABLES, VARIABLES } from './configuration-page.ts'
import { table } from './markdown.ts'
import { printedPages } from './print.ts'

const TOP = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(TOP, path), 'utf8')

describe('the printed pages', () => {
  it.each([...printedPages()])('%s has not drifted', (path, text) => {
    expect(read(path), `${path} is out of date. Print it again: npm run docs`).toBe(text)
  })

  it('hold the JSON Schema that "shardgate config schema" prints', () => {
    expect(JSON.parse(read('docs/shards.config.schema.json'))).toEqual(
      JSON.parse(JSON.stringify(configJsonSchema())),
    )
  })

  it('name each environment variable that the configuration reads', () => {
    const found = [...read('src/base/config.ts').matchAll(/\benv\.([A-Z_]+)/g)].map(([, name]) => name)
    expect(VARIABLES.map(({ name }) => name).sort()).toEqual([...new Set(found)].sort())
  })

  it('name each environment variable that a command takes for an option', () => {
    const found = [...read('src/commands/setup.ts').matchAll(/'(SHARDGATE_[A-Z_]+)'/g)].map(
      ([, name]) => name,
    )
    expect(COMMAND_VARIABLES.map(({ name }) => name)).toEqual(expect.arrayContaining(found))
    expect(found).not.toEqual([])
  })

  it('tell the defaults that an empty environment gives', () => {
    const config = loadConfig(join(TOP, 'shards.config.json'), {})
    const given = [config.mode, config.port, config.host, config.adminPort, config.adminHost, config.logLevel]
    expect(VARIABLES.map(({ fallback }) => fallback)).toEqual([
      ...given.map(String),
      config.redis.url ?? '',
      relative('.', config.dataDir),
      '', // the account of whoever asks
    ])
  })
})

describe('a table', () => {
  it('shows what would otherwise be a border or a tag', () => {
    expect(table(['a'], [['x | y <z> `<code>`']])).toBe('| a |\n|---|\n| x \\| y &lt;z> `<code>` |')
  })
})
