/**
 * How the tests run.
 *
 * `unit` needs no database; `integration` uses the three servers that the global set-up starts once;
 * `e2e` starts Shardgate's own processes or a browser, one file at a time. `schema` and `database` are tests of the API
 * once more with tenants in those isolation models: some of them, or all with MODELS=all. Any unhandled rejection
 * fails the run, which is what vitest does unless told otherwise.
 */

import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { lastLine } from './kit/reporter.ts'

const SYSTEM = ['test/system/**/*.test.ts', 'test/**/*.browser.test.ts']
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
/** Processes and outages: one file at a time, with time to spare. */
const ALONE = { fileParallelism: false, testTimeout: 120_000, hookTimeout: 180_000 }

function inModel(isolation: 'schema' | 'database', order: number) {
  const env = { ISOLATION: isolation }
  const some = { name: isolation, include: ALL_MODELS ? API : SOME, env, sequence: { groupOrder: order } }
  const system = { name: `${isolation} e2e`, include: API_SYSTEM, env, sequence: { groupOrder: order + 1 } }
  return ALL_MODELS ? [{ test: some }, { test: { ...system, ...ALONE } }] : [{ test: some }]
}

const workers = Math.min(2, availableParallelism())

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
      {
        test: {
          name: 'e2e',
          include: SYSTEM,
          ...ALONE,
          sequence: { groupOrder: 1 },
        },
      },
      ...inModel('schema', 2),
      ...inModel('database', 4),
    ],
  },
})
