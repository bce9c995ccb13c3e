/**
 * The tenants of the example: who they are and how big.
 *
 * Three cohorts, because tenants are never of one size: many small ones, some of medium size, a few that
 * hold half of the rows. One id is a number and one a uuid, as both are tenant ids in the wild.
 */

import { randomFor } from './random.ts'

export type Cohort = 'S' | 'M' | 'L'

export interface SeedOptions {
  /** Whole number from 0; another seed gives other rows. Default is 1. */
  readonly seed?: number
  /** Factor on the rows of each tenant, more than 0, at most 1000. Default is 1. */
  readonly scale?: number
  /** How many tenants, 3 to 10000. Default is 36. */
  readonly tenants?: number
}

export interface SeedTenant {
  readonly id: string
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly cohort: Cohort
  /** How it is kept on its shard: in shared tables, in a schema or a database of its own. */
  readonly isolation: 'shared' | 'schema' | 'database'
  /** What its own frontend may know of it. */
  readonly settings: {
    readonly branding?: { readonly colour: string }
    readonly features?: readonly string[]
  }
}

/** How many rows a tenant has; the tables that are missing follow from these. */
export interface Sizes {
  readonly users: number
  /** Users 1 to `agents` answer tickets, the others only ask. */
  readonly agents: number
  readonly teams: number
  readonly tags: number
  readonly orders: number
  readonly tickets: number
}

// The first three are the demo tenants: one of each cohort, and one of each way to be kept.
const NAMED: readonly (readonly [id: string, name: string, subdomain?: string])[] = [
  ['acme', 'Acme Corporation'],
  ['globex', 'Globex Trading'],
  ['initech', 'Initech Software'],
  ['hollow-pine', 'Hollow Pine Furniture'],
  ['blue-heron', 'Blue Heron Books'],
  ['kupferberg', 'Kupferberg & Söhne'],
  ['lantern', 'Lantern Lighting Co.'],
  ['4217', 'Depot 4217', 'depot-4217'],
  ['mistral', 'Mistral Vélos'],
  ['oak-and-iron', 'Oak & Iron Tools'],
  ['paper-crane', 'Paper Crane 折り鶴'],
  ['quickbread', "O'Malley's Quick Bread"],
  ['redshift', 'Redshift Optics'],
  ['saltmarsh', 'Saltmarsh Outdoor'],
  ['tidewater', 'Tidewater Marine'],
  ['umbra', 'Umbra Blinds'],
  ['velvet-fox', 'Velvet Fox Clothing'],
  ['willowbrook', 'Willowbrook Clinics'],
  ['xylo', 'Xylo Instruments'],
  ['yarrow', 'Yarrow Garden Supply'],
  ['zephyr', 'Zephyr Air Filters'],
  ['5f0c2f1e-7d53-4b8e-9a61-2c9d4e8b7a10', 'Amber Fields Farm', 'amber-fields'],
  ['brightwater', 'Brightwater Pools'],
  ['cobalt', 'Cobalt Couriers'],
  ['dovetail', 'Dovetail Joinery'],
  ['emberline', 'Emberline Stoves'],
  ['fernhill', 'Fernhill Schools'],
  ['gullwing', 'Gullwing Garage'],
  ['high-meadow', 'High Meadow Dairy'],
  ['isbjorn', 'Isbjørn Is'],
  ['juniper', 'Juniper Kitchens'],
  ['keystone', 'Keystone Keys "24/7"'],
  ['lodestar', 'Lodestar Travel'],
  ['marigold', 'Marigold Flowers'],
  ['nimbus', 'Nimbus Umbrellas'],
  ['old-harbour', 'Old Harbour Coffee'],
]

// Few, because they take a start longer: the tables of a schema are made anew, and a database is copied.
const ISOLATED: Readonly<Record<string, SeedTenant['isolation']>> = {
  globex: 'schema',
  initech: 'database',
  kupferberg: 'schema',
  '4217': 'schema',
  'paper-crane': 'database',
}

const SETTINGS: Readonly<Record<string, SeedTenant['settings']>> = {
  acme: { branding: { colour: '#c2410c' }, features: ['reports', 'bulk-answers'] },
  globex: { branding: { colour: '#0f766e' }, features: ['reports'] },
  initech: { branding: { colour: '#1d4ed8' } },
}

const PLANS: Readonly<Record<Cohort, string>> = { S: 'starter', M: 'team', L: 'business' }

const COHORTS: Readonly<Record<Cohort, Sizes>> = {
  S: { users: 24, agents: 5, teams: 3, tags: 8, orders: 30, tickets: 60 },
  M: { users: 80, agents: 14, teams: 5, tags: 14, orders: 130, tickets: 280 },
  L: { users: 320, agents: 48, teams: 9, tags: 20, orders: 560, tickets: 1_350 },
}

/**
 * The tenants in a fixed order; fewer or more tenants leave the others as they are.
 *
 * @throws RangeError  an option is out of its range
 */
export function planTenants(options: SeedOptions = {}): SeedTenant[] {
  const { tenants } = checkedOptions(options)
  return Array.from({ length: tenants }, (_, at) => tenantAt(at))
}

function tenantAt(at: number): SeedTenant {
  const number = String(at + 1).padStart(4, '0')
  const [id, name, subdomain] = NAMED[at] ?? [`tenant-${number}`, `Tenant ${number}`]
  const cohort = cohortAt(at)
  const isolation = ISOLATED[id] ?? 'shared'
  const settings = SETTINGS[id] ?? {}
  return { id, name, subdomain: subdomain ?? id, plan: PLANS[cohort], cohort, isolation, settings }
}

function cohortAt(at: number): Cohort {
  // 13, not 12: dealt out in turn to two, three or four shards, the big ones do not meet on one.
  if (at % 13 === 0) return 'L'
  return at % 4 === 1 ? 'M' : 'S'
}

/** Sizes of a tenant: those of its cohort, a fifth more or less, times scale. */
export function sizesOf(tenant: SeedTenant, options: SeedOptions): Sizes {
  const { seed, scale } = checkedOptions(options)
  const cohort = COHORTS[tenant.cohort]
  const percent = randomFor(seed, tenant.id, 'sizes').between(85, 120)
  const scaled = (count: number, min: number): number =>
    Math.max(min, Math.round((count * percent * scale) / 100))
  const users = scaled(cohort.users, 4)
  return {
    users,
    agents: Math.min(users - 1, scaled(cohort.agents, 2)),
    teams: scaled(cohort.teams, 1),
    tags: scaled(cohort.tags, 2),
    orders: scaled(cohort.orders, 1),
    tickets: scaled(cohort.tickets, 2),
  }
}

/** The options with their defaults. Throws RangeError when one is out of its range. */
export function checkedOptions(options: SeedOptions): Required<SeedOptions> {
  const { seed = 1, scale = 1, tenants = 36 } = options
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`seed: wanted a whole number from 0; ${seed} came`)
  }
  if (!(scale > 0 && scale <= 1_000)) {
    throw new RangeError(`scale: wanted a number above 0, at most 1000; ${scale} came`)
  }
  if (!Number.isInteger(tenants) || tenants < 3 || tenants > 10_000) {
    throw new RangeError(`tenants: wanted a whole number from 3 to 10000; ${tenants} came`)
  }
  return { seed, scale, tenants }
}
