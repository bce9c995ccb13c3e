/**
 * Named places in the code where a test may pause or throw. Production passes `noFailpoints`; no code
 * asks whether it is being tested.
 */

export type Failpoint =
  | 'session.before-begin'
  | 'session.after-begin'
  | 'session.before-commit'
  | 'session.after-commit'

export interface Failpoints {
  hit(name: Failpoint): Promise<void>
}

export const noFailpoints: Failpoints = Object.freeze({ hit: () => Promise.resolve() })
