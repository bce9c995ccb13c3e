/** The rules of the house: floors, circles, sizes, headers; and that each rule can fail. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Files, modulesOf, untidiness } from './kit/tidy-rules.ts'

const TOP = join(import.meta.dirname, '..')
const LEFT_OUT = ['node_modules', 'dist', '.git', '.shardgate', '.vitest', 'coverage', 'package-lock.json']
const TEXT = /\.(ts|sql|md|json|ya?ml|graphql)$|^\.ci\/|(^|\/)Dockerfile$/

function repository(): Files {
  const paths = readdirSync(TOP)
    .filter((name) => !LEFT_OUT.includes(name))
    .flatMap((name) => (statSync(join(TOP, name)).isDirectory() ? below(name) : [name]))
    .filter(
      (path) => TEXT.test(path) && !path.includes('/node_modules/') && statSync(join(TOP, path)).isFile(),
    )
  return new Map(paths.map((path) => [path, readFileSync(join(TOP, path), 'utf8')]))
}

function below(folder: string): string[] {
  const inside = readdirSync(join(TOP, folder), { recursive: true, encoding: 'utf8' })
  return inside.map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
}

describe('the repository', () => {
  const files = repository()

  it('is read whole', () => {
    expect([...files.keys()]).toEqual(expect.arrayContaining(['package.json', 'src/base/config.ts']))
  })

  it('keeps the rules of the house (among them D8: no tenant from ambient state)', () => {
    expect(untidiness(files)).toEqual([])
  })
})

/** A small tidy house, with `planted` in it. */
function house(planted: Record<string, string>): Files {
  const tidy = {
    'src/main.ts': `/** Starts. */\nimport { serve } from './http/serve.ts'\nimport type { Config } from './base/config.ts'\n`,
    'src/http/serve.ts': `/** Serves. */\nimport { pool } from '../db/pool.ts'\nimport yoga from 'graphql-yoga'\n`,
    'src/db/pool.ts': `/** Pools. */\nimport pg from 'pg'\nimport { config } from '../base/config.ts'\n`,
    'src/base/config.ts': `/** Reads. */\nexport const config = process.env\n`,
    'src/db/sql/0001_first.sql': `-- The first.\nselect 1;\n`,
    'test/db/pool.test.ts': `/** Tests. */\nimport pg from 'pg'\n`,
  }
  return new Map(Object.entries({ ...tidy, ...planted }))
}

/** A file on the ground floor that somebody imports, so that only what it holds is at fault. */
const planted = (path: string, text: string): string[] =>
  untidiness(house({ [path]: text, 'src/cli.ts': `/** Starts. */\nimport './${path.slice(4)}'\n` }))

describe('the rules', () => {
  it('find nothing in a tidy house', () => {
    expect(untidiness(house({}))).toEqual([])
  })

  it.each([
    ['a floor above', `import { serve } from '../http/serve.ts'`],
    ['a floor above, types only', `import type { Serve } from '../http/serve.ts'`],
    ['a floor above, bare', `import '../http/serve.ts'`],
    ['a floor above, over several lines', `import {\n  serve,\n} from '../http/serve.ts'`],
    ['a floor above, passed on', `export { serve } from '../http/serve.ts'`],
    ['a floor above, later', `const later = () => import('../http/serve.ts')`],
    ['a floor above, by URL', `new Worker(new URL('../http/serve.ts', import.meta.url))`],
  ])('find an import of %s', (_, line) => {
    expect(planted('src/db/planted.ts', `/** Planted. */\n${line}\n`)).toContain(
      'src/db/planted.ts: imports src/http/serve.ts, which is not on a lower floor',
    )
  })

  it('find an import of another folder on the same floor', () => {
    const text = `/** Planted. */\nimport { serve } from '../http/serve.ts'\n`
    expect(planted('src/commands/planted.ts', text)).toEqual([
      'src/commands/planted.ts: imports src/http/serve.ts, which is not on a lower floor',
    ])
  })

  it('find a circle', () => {
    const files = house({
      'src/db/pool.ts': `/** Pools. */\nimport './a.ts'\nimport '../base/config.ts'\n`,
      'src/db/a.ts': `/** A. */\nimport type { B } from './b.ts'\n`,
      'src/db/b.ts': `/** B. */\nimport { A } from './a.ts'\n`,
    })
    expect(untidiness(files)).toEqual([
      'src/db/a.ts: imports itself in a circle',
      'src/db/b.ts: imports itself in a circle',
    ])
  })

  it('find a file that nobody imports, and one on no floor', () => {
    expect(untidiness(house({ 'src/db/alone.ts': '/** Alone. */\n' }))).toEqual([
      'src/db/alone.ts: nobody imports it',
    ])
    expect(planted('src/cellar/deep.ts', '/** Deep. */\n').join()).toContain('stands on no floor')
  })

  it.each([
    ['src/shards/planted.ts', `import pg from 'pg'`, 'imports pg, which only db may'],
    ['src/shards/planted.ts', `import Pool from 'pg/lib/pool'`, 'imports pg/lib/pool, which only db may'],
    ['src/shards/planted.ts', `import Redis from 'ioredis'`, 'imports ioredis, which only db may'],
    [
      'src/db/planted.ts',
      `import B from '@pothos/core'`,
      'imports @pothos/core, which only graphql and http may',
    ],
    [
      'src/db/planted.ts',
      `require('graphql-shield')`,
      'imports graphql-shield, which only graphql and http may',
    ],
    ['src/db/planted.ts', `const url = process.env.URL`, 'reads process.env'],
    ['src/db/planted.ts', `process.exit(1)`, 'ends the process'],
    ['src/db/planted.ts', `new AsyncLocalStorage()`, 'uses AsyncLocalStorage'],
    ['src/db/planted.ts', `${'\n'.repeat(300)}const last = 1`, 'has over 300 lines'],
    ['src/db/index.ts', '', 'has a name that says nothing'],
    ['src/db/utils/planted.ts', '', 'has a name that says nothing'],
    ['src/db/helpers.ts', '', 'has a name that says nothing'],
  ])('find in %s: %s', (path, line, fault) => {
    expect(planted(path, `/** Planted. */\n${line}\n`)).toEqual([`${path}: ${fault}`])
  })

  it.each(['src/base/config.ts', 'test/db/pool.test.ts', 'src/db/sql/0001_first.sql'])(
    'want a header in %s',
    (path) => {
      expect(untidiness(house({ [path]: 'select 1\n' }))).toContain(
        `${path}: does not open with what it is for`,
      )
    },
  )

  it('find a place of one machine, in any file', () => {
    const place = ['', 'work', 'main'].join('/')
    expect(untidiness(house({ 'README.md': `cd ${place}` }))).toEqual([
      `README.md: speaks of "${place}", which is none of ours`,
    ])
  })

  it('do not mind what only looks like a fault', () => {
    const text = [
      '/** Says process.env and import x from "pg". */',
      `// import { serve } from '../http/serve.ts'`,
      `const globs = 'test/**/*.ts'`,
      `import { pool } from './pool.ts'`,
      `import pgSql from 'pg-sql2'`,
    ].join('\n')
    expect(planted('src/db/planted.ts', text)).toEqual([])
    expect(modulesOf(text)).toEqual(['./pool.ts', 'pg-sql2'])
  })
})
