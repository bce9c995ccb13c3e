/**
 * How the tests run.
 *
 * `unit` needs no database; `integration` uses the three servers that the global set-up starts once;
 * `e2e` starts Shardgate's own processes or a browser beside those, and `alone` runs what needs the machine for itself,
 * one file at a time. `schema` and `database` are tests of the API once more with tenants in those isolation models:
 * some of them, or all with MODELS=all. Any unhandled rejection fails the run, which is what vitest does unless told
 * otherwise.
 */

import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { lastLine } from './kit/reporter.ts'

const SYSTEM = ['test/system/**/*.test.ts', 'test/**/*.browser.test.ts']
/** Users under load who must not wait long enough for an error, leases, and who looks at what others on a server run. */
const ALONE = [
  'test/system/{directory-down,shard-down,fleet-migrations,isolation-fuzz,isolation-homes}.test.ts',
  'test/system/move-*.test.ts',
]
const UNIT = ['test/*.test.ts', 'test/kit/**/*.test.ts', 'test/base/**/*.test.ts', 'test/tenant/**/*.test.ts']

/** Tests of what a tenant may ask: it is the same wherever the tenant's tables are. */
const API = [
  'test/graphql/**/*.test.ts',
  'test/http/**/*.test.ts',
  'test/abuse/**/*.test.ts',
  'test/shards/**/*.test.ts',
  'test/directory/statistics.test.ts',
  'test/examples/{clients,helpdesk-extension}.test.ts',
]
/** Of those, the ones that ask for every kind of operation. */
const SOME = ['golden', 'mutations', 'upsert', 'compiled-reads'].map((name) => `test/graphql/${name}.test.ts`)
const API_SYSTEM = [
  'test/system/{both-lanes,compiled-mixup,compiled-outcome,directory-down,shard-down,trusted-documents}.test.ts',
]
const ALL_MODELS = process.env.MODELS === 'all'
/** For processes and outages. */
const TIME_TO_SPARE = { testTimeout: 120_000, hookTimeout: 180_000 }
/** After all that runs side by side. */
const ONE_BY_ONE = { ...TIME_TO_SPARE, fileParallelism: false, sequence: { groupOrder: 1 } }

function inModel(isolation: 'schema' | 'database') {
  const env = { ISOLATION: isolation }
  const some = { name: isolation, include: ALL_MODELS ? API : SOME, env }
  const system = { name: `${isolation} e2e`, include: API_SYSTEM, env, ...ONE_BY_ONE }
  return ALL_MODELS ? [{ test: some }, { test: system }] : [{ test: some }]
}

/** One more than processors, as tests wait too: two processors take a tenth less time with three. */
const workers = Math.min(3, availableParallelism() + 1)

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // Vite would take graphql's ES modules, Node takes its CommonJS ones, and two copies refuse each other.
  resolve: {
    alias: [
      {
        find: /^graphql$/,
        replacement: fileURLToPath(new URL('../node_modules/graphql/index.js', import.meta.url)),
      },
    ],
  },
  test: {
    globalSetup: ['test/kit/global-setup.ts'],
    reporters: ['default', lastLine],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One second by default, for which a busy machine may stand still.
    expect: { poll: { timeout: 20_000 } },
    maxWorkers: workers,
    // Executors lose some errors of operations (src/graphql/lost-errors.ts). Any other that nobody waits for fails the run.
    onUnhandledError: ({ name }) => (name === 'GraphQLError' ? false : undefined),
    projects: [
      { test: { name: 'unit', include: UNIT } },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: [...UNIT, ...SYSTEM],
        },
      },
      { test: { name: 'e2e', include: SYSTEM, exclude: ALONE, ...TIME_TO_SPARE } },
      { test: { name: 'alone', include: ALONE, ...ONE_BY_ONE } },
      ...inModel('schema'),
      ...inModel('database'),
    ],
  },
})
