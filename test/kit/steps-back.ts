/**
 * Why the compiled lane left an operation to the resolvers. It tells nobody, because nobody but a test wants to know:
 * the answer is the same.
 */

import { AsyncLocalStorage } from 'node:async_hooks'

const noted = new AsyncLocalStorage<string[]>()

/** What `work` gives, and a reason for each step back in it: of the compiler, by place, and of Postgres. */
export async function notingStepsBack<T>(work: () => Promise<T>): Promise<{ value: T; reasons: string[] }> {
  const reasons: string[] = []
  return { value: await noted.run(reasons, work), reasons }
}

export function noteStepBack(reason: string): void {
  noted.getStore()?.push(reason)
}

/** For `vi.mock` of compiled/step-back.ts: notes where it is thrown, as 'rows.ts:99 oneWriter'. */
export class NotedStepBack extends Error {
  override readonly name = 'StepBack'

  constructor() {
    super()
    const places = [...(this.stack ?? '').matchAll(/at (?:new )?(\S+) .*?\/compiled\/([\w-]+\.ts:\d+)/g)]
    const [at] = places.filter(([, name]) => name !== 'stepBack')
    noteStepBack(at ? `${at[2]} ${at[1]}` : 'unknown')
  }
}
