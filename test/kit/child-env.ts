/** What a process that a test starts sees of our environment: where programs are, and nothing that could configure it. */

/**
 * The code that an earlier one has compiled is there for it too (global-setup.ts): that is half of what a short command
 * costs.
 *
 * @param env  all else that it sees
 */
export const childEnv = (env: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
  ...env,
})
