/**
 * How the tests run.
 *
 * `unit` needs no database; `integration` uses the three servers that the global set-up starts once;
 * `e2e` starts Shardgate's own processes or a browser, one file at a time. Any unhandled rejection
 * fails the run, which is what vitest does unless told otherwise.
 */

import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { lastLine } from './kit/reporter.ts'

const SYSTEM = ['test/system/**/*.test.ts', 'test/**/*.browser.test.ts']
const UNIT = ['test/*.test.ts', 'test/kit/**/*.test.ts', 'test/base/**/*.test.ts', 'test/tenant/**/*.test.ts']
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
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
