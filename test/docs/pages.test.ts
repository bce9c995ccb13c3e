/** What the pages for people name is there: files, links, codes, commands, queries, tables, limits. */

import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { buildSchema, parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { ERRORS } from '../../src/base/errors.ts'
import { commandLine } from '../../src/commands/program.ts'
import { withClient } from '../../src/db/client.ts'
import { ORDER_DIRECTIONS } from '../../src/graphql/builder.ts'
import { introspect } from '../../src/model/introspect.ts'
import { checkSafety } from '../../src/model/safety.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'
import { COMMAND_VARIABLES, fileVariables, VARIABLES } from './configuration-page.ts'

const TOP = join(import.meta.dirname, '../..')
const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...globSync('docs/*.md', { cwd: TOP })]
const read = (path: string): string => readFileSync(join(TOP, path), 'utf8')
const exists = (path: string): boolean => existsSync(join(TOP, path))
const pages = PAGES.map((path) => [path, read(path)] as const)

/** The texts of all blocks of a language. */
const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, block = '']) => block,
  )
const inCode = (text: string): string[] =>
  [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)

describe.each(pages)('%s', (path, text) => {
  it('links to what is there', () => {
    const links = [...text.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link = '']) => link)
    const local = links.filter((link) => !link.startsWith('http'))
    expect(local.filter((link) => !exists(join(dirname(path), link)))).toEqual([])
  })

  it('names files and folders that are there', () => {
    const paths = inCode(text).filter((code) =>
      /^[a-z][\w./-]*\/[\w.-]*(\.(ts|sql|md|json|js|sh))?$/.test(code),
    )
    const isThere = (name: string): boolean =>
      [name, `src/${name}`].some(exists) || globSync(`src/*/${name}`, { cwd: TOP }).length > 0
    expect(paths.filter((name) => !isThere(name) && !name.startsWith('application/'))).toEqual([])
  })

  it('names codes and variables that are there', () => {
    const words = inCode(text).filter((code) => /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(code))
    const variables = [...VARIABLES, ...COMMAND_VARIABLES].map(({ name }) => name)
    const known = [
      ...Object.keys(ERRORS),
      ...variables,
      ...fileVariables().map(([name = '']) => name.slice(1, -1)),
      ...Object.keys(ORDER_DIRECTIONS),
    ]
    expect(words.filter((word) => !known.includes(word))).toEqual([])
  })

  it('names npm scripts that are there', () => {
    const { scripts } = JSON.parse(read('package.json'))
    const named = [...text.matchAll(/npm run (?:-s )?([a-z][a-z:-]*)/g)].map(([, script = '']) => script)
    expect(named.filter((script) => !(script in scripts))).toEqual([])
  })
})

describe('the file names of docs/architecture.md', () => {
  it('are those of the folder that each paragraph is about', () => {
    const sections = read('docs/architecture.md').split(/^### /m).slice(1)
    const missing = sections.flatMap((section) => {
      const [, folder = ''] = /^`(\w+)\/`/.exec(section) ?? []
      const body = section.split(/^## /m)[0] ?? ''
      const files = inCode(body).filter((code) => /^[\w/-]+\.ts$/.test(code))
      return files.filter((file) => ![`src/${folder}/${file}`, `src/${file}`, file].some(exists))
    })
    expect(missing).toEqual([])
  })

  it('leave out no folder', () => {
    const named = [...read('docs/architecture.md').matchAll(/^### `(\w+)\/`/gm)].map(([, folder]) => folder)
    expect(named.sort()).toEqual(
      globSync('*/', { cwd: join(TOP, 'src') })
        .map((name) => name.replace(/\W/g, ''))
        .sort(),
    )
  })
})

describe('the commands of README.md', () => {
  const program = commandLine({ out() {}, err() {}, colour: false }, () =>
    Promise.reject(new Error('not run')),
  )
  const text = read('README.md')
  const shell = blocks(text, 'sh').join('\n')
  const table = [...text.matchAll(/^\| (`.*`) \|/gm)].flatMap(([, cell = '']) => inCode(cell))
  const inShell = [...shell.matchAll(/shardgate -- ([^)\n]+)|run --rm setup (.+)/g)].map(
    ([, a, b]) => a ?? b ?? '',
  )
  const verbs = table.filter((cell) => program.commands.some((verb) => verb.name() === cell.split(' ')[0]))

  it.each([...verbs, ...inShell])('%s', (line) => {
    const words = line.trim().split(/\s+/)
    let verb: Command = program
    for (const word of words) verb = verb.commands.find((child) => child.name() === word) ?? verb
    expect(verb).not.toBe(program)
    expect(verb.commands).toEqual([])
    const flags = words.filter((word) => word.startsWith('-'))
    const options = [...verb.options, ...program.options].flatMap(({ short, long }) => [short, long])
    expect(flags.filter((flag) => !options.includes(flag))).toEqual([])
  })

  it('are all of them', () => {
    const named = new Set(verbs.map((line) => line.split(' ')[0]))
    expect([...named].sort()).toEqual(program.commands.map((verb) => verb.name()).sort())
  })
})

describe('the examples of README.md', () => {
  const text = read('README.md')

  it('ask what the schema has', () => {
    const schema = buildSchema(read('schema.graphql'))
    const bodies = [...text.matchAll(/(?:ask|-d) '(\{"query".*\})'/g)].map(([, body = '']) =>
      JSON.parse(body),
    )
    expect(bodies.length).toBeGreaterThan(2)
    for (const { query } of bodies) expect(validate(schema, parse(query))).toEqual([])
  })

  it('have an extension of which each line is in the example', () => {
    const squeezed = (source: string): string =>
      source.replaceAll(/\s|, description: '[^']*'|description: '[^']*',/g, '')
    const source = squeezed(read('examples/helpdesk/extension.ts'))
    const lines = (blocks(text, 'ts')[0] ?? '').split('\n').map(squeezed)
    const own = ['extend({builder,type,column}){'] // It takes fewer tools than the example.
    expect(lines.filter((line) => !source.includes(line) && !own.includes(line))).toEqual([])
    expect(lines.length).toBeGreaterThan(10)
  })

  it('tell limits as they are', () => {
    const { limits } = loadConfig(join(TOP, 'shards.config.json'), {})
    const { bodyBytes, bodyValues, documentTokens, depth, aliases, rootFields } = limits
    const { pageSize, rows, requestMs } = limits
    expect(text).toContain(`| body | ${bodyBytes / 1024} KiB, ${bodyValues.toLocaleString('en')} values |`)
    expect(text).toContain(`| document | ${documentTokens.toLocaleString('en')} tokens |`)
    expect(text).toContain(`| ${depth}, ${aliases}, ${rootFields}, fragments followed |`)
    expect(text).toContain(`| rows of one page, of one answer | ${pageSize}, ${rows.toLocaleString('en')} |`)
    expect(text).toContain(`| time | ${requestMs / 1000} s |`)
  })
})

describe('the table of README.md', () => {
  let fleet: TestFleet
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-readme-'))
  beforeAll(async () => {
    fleet = await freshFleet({ weights: { 'shard-a': 1 } })
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true })
    await fleet?.drop()
  })

  it('is served: nothing of it is unsafe', async () => {
    writeFileSync(join(folder, '20260101120000_invoices.sql'), blocks(read('README.md'), 'sql')[0] ?? '')
    const url = fleet.shards[0]?.url('owner') ?? ''
    await migrate({ shard: { key: 'shard-a', url }, folder, schema: 'app' })
    await withClient(url, async (client) => {
      const tenancy = { column: 'tenant_id', schemas: ['app'] }
      expect((await introspect(client, tenancy)).tables.map(({ id }) => id)).toEqual(['app.invoices'])
      const findings = await checkSafety(client, { ...tenancy, appRole: 'shardgate_app' })
      expect(findings.filter(({ table }) => table !== undefined)).toEqual([])
    })
  })
})
