/**
 * Named places in the code where a test may pause or throw. Production passes `noFailpoints`; no code
 * asks whether it is being tested.
 */

export type Failpoint =
  | 'session.before-begin'
  | 'session.after-begin'
  | 'session.before-commit'
  | 'session.after-commit'
  | 'install.shard-made' // the shard has an identity, the directory does not know it yet
  | 'create.reserved' // the directory has the tenant's row, its shard has no fence yet
  | 'create.fenced' // the shard has the fence, routers do not see the tenant yet
  | `before ${string}` // a step of an operation, as 'tenant.purge rows' (control/operations/)
  | `after ${string}` // it is done, and not yet written down

export interface Failpoints {
  hit(name: Failpoint): Promise<void>
}

export const noFailpoints: Failpoints = Object.freeze({ hit: () => Promise.resolve() })
