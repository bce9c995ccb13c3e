/** Prints `N passed, N failed, N skipped` alone on the last line, for whoever reads only that. */

import type { Reporter } from 'vitest/node'

export const lastLine: Reporter = {
  onTestRunEnd(modules, unhandledErrors, reason) {
    const states = modules.flatMap((module) =>
      [...module.children.allTests()].map((test) => test.result().state),
    )
    const count = (state: string): number => states.filter((found) => found === state).length
    // A file that cannot be loaded and an unhandled rejection belong to no test, yet they fail the run.
    const broken = modules.filter((module) => module.errors().length > 0).length + unhandledErrors.length
    const failed = count('failed') + broken
    // Servers that do not start fail the run before there is any file.
    const shown = failed === 0 && reason === 'failed' ? 1 : failed
    console.log(`${count('passed')} passed, ${shown} failed, ${count('skipped')} skipped`)
  },
}
