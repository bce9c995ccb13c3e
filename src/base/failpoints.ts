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
  | 'create.reserved' // the directory has the rows of many tenants, their shards have no fences yet
  | 'create.fenced' // the shards have the fences, routers do not see the tenants yet
  | `before ${string}` // a step of an operation, as 'tenant.purge rows' (control/operations/)
  | `after ${string}` // it is done, and not yet written down

export interface Failpoints {
  hit(name: Failpoint): Promise<void>
}

export const noFailpoints: Failpoints = Object.freeze({ hit: () => Promise.resolve() })
