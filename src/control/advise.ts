/**
 * Which isolation model suits a tenant: a decision matrix of six criteria, filled with figures.
 *
 *     score of a model = Σ weight of a criterion × 0 to 3 points, and unfit where something is out of the question
 *
 * The figures behind the thresholds were measured on two cores with Postgres 15, 1,000 schemas of 4 tables and 11
 * indexes each, nearly empty (docs/operations.md has them as a table). Where a threshold is a judgement and no
 * measurement, its comment says so.
 */

import { ISOLATIONS, type Isolation } from '../directory/types.ts'

/** What nobody can measure. */
export interface Wishes {
  /** Rules that ask for data apart: backups, erasure or keys of its own. */
  readonly compliance: boolean
  /** Tables that other tenants do not have. */
  readonly customTables: boolean
  /** Where its data has to stay. */
  readonly region?: string
  /** How many times as large it is expected to be in a year. */
  readonly growth: number
}

export interface TenantFacts {
  readonly tenant: string
  readonly shard: string
  /** The model that it is in now. */
  readonly isolation: Isolation
  readonly plan: string
  /** What the configuration promises to its plan. */
  readonly promised?: Isolation
  readonly rows: number
  /** Of its tables with their indexes; its part of those that it shares. */
  readonly bytes: number
  /** Of all tables on its shard, tenants' own schemas and databases included. */
  readonly shardBytes: number
  /** Milliseconds of database time in the last 7 days: its own, and of all tenants on its shard; unset where nothing was metered. */
  readonly load?: { readonly ms: number; readonly shardMs: number }
  /** Tenants on its shard that have a schema, and a database, of their own. */
  readonly schemas: number
  readonly databases: number
  readonly wishes: Wishes
}

export const CRITERIA = ['isolation', 'cost', 'operations', 'scale', 'customisation', 'compliance'] as const
export type Criterion = (typeof CRITERIA)[number]

export interface Score {
  readonly model: Isolation
  /** 0 to 3 each. */
  readonly points: Readonly<Record<Criterion, number>>
  readonly total: number
  /** Why it is out of the question. */
  readonly unfit?: string
}

export interface Advice {
  readonly facts: TenantFacts
  readonly advice: Isolation
  readonly scores: readonly Score[]
  /** Sentences. */
  readonly reasons: readonly string[]
}

const MB = 1024 * 1024

/** Bytes on disk before there is a row: (380 MB - 63 MB) / 1,000 schemas; an empty database of Postgres 15 to 18. */
const OWN_BYTES: Readonly<Record<Isolation, number>> = { shared: 0, schema: 0.32 * MB, database: 8 * MB }

/**
 * Schemas on a shard. With 100 one connection holds 6 to 18 MB of plans for one statement, with 1,000 it holds 56 to
 * 170 MB, and 20 s of DDL go into each migration.
 */
const SCHEMAS = { easy: 100, most: 1_000 }

/** Databases on a shard: with two connections each, these are 40 and 100 of the 100 that a server has by default. */
const DATABASES = { easy: 20, most: 50 }

/** From when on one tenant is felt by its neighbours; a judgement. */
const LARGE = { bytes: 1024 * MB, ms: 3_600_000, share: 0.2 }
const HUGE = { bytes: 10 * 1024 * MB, ms: 36_000_000, share: 0.5 }

/** Score all models and take the best; of equal ones the present one, then the simpler. */
export function advise(facts: TenantFacts): Advice {
  const scores = ISOLATIONS.map((model) => scoreOf(model, facts))
  const rank = (score: Score): number =>
    (score.unfit === undefined ? 1_000 : 0) + score.total + (score.model === facts.isolation ? 0.5 : 0)
  const [best] = scores.toSorted((a, b) => rank(b) - rank(a)) // Stable: ISOLATIONS begins with the simplest.
  return { facts, advice: best!.model, scores, reasons: reasonsOf(facts, scores, best!) }
}

function scoreOf(model: Isolation, facts: TenantFacts): Score {
  const points = pointsOf(model, facts)
  const weights = weightsOf(facts.wishes)
  const total = CRITERIA.reduce((sum, criterion) => sum + weights[criterion] * points[criterion], 0)
  const unfit = whyUnfit(model, facts)
  return { model, points, total, ...(unfit !== undefined && { unfit }) }
}

// What is asked for weighs as much as the three that always cost something.
function weightsOf({ compliance, customTables, region }: Wishes): Readonly<Record<Criterion, number>> {
  return {
    isolation: 1,
    cost: 2,
    operations: 2,
    scale: 2,
    customisation: customTables ? 3 : 1,
    compliance: compliance || region !== undefined ? 3 : 1,
  }
}

function pointsOf(model: Isolation, facts: TenantFacts): Readonly<Record<Criterion, number>> {
  const { compliance, customTables, region } = facts.wishes
  const walls = ISOLATIONS.indexOf(model) + 1
  return {
    isolation: walls,
    cost: costPoints(OWN_BYTES[model] / Math.max(MB, facts.bytes)),
    operations: operationPoints(model, facts),
    scale: scalePoints(model, facts),
    customisation: customTables && model === 'shared' ? 0 : 2,
    compliance: compliance ? { shared: 0, schema: 1, database: 3 }[model] : regionPoints(model, region),
  }
}

/** @param overhead  bytes that the model takes for itself, by those of the tenant, who is taken to have 1 MB at least */
function costPoints(overhead: number): number {
  if (overhead <= 0.1) return 3
  if (overhead <= 0.5) return 2
  return overhead <= 1 ? 1 : 0
}

function operationPoints(model: Isolation, { schemas, databases, isolation }: TenantFacts): number {
  if (model === 'shared') return 3
  const [found, { easy, most }] = model === 'schema' ? [schemas, SCHEMAS] : [databases, DATABASES]
  const with_it = found + (isolation === model ? 0 : 1)
  if (with_it <= easy) return 2
  return with_it <= most ? 1 : 0
}

function scalePoints(model: Isolation, facts: TenantFacts): number {
  const size = weightOf(facts)
  if (size === 'small' || model === 'database') return 3
  if (model === 'schema') return 2
  return size === 'large' ? 1 : 0
}

const WEIGHTS = ['small', 'large', 'huge'] as const
type Weight = (typeof WEIGHTS)[number]

/** By what it holds or by what it asks, whichever is more. */
function weightOf(facts: TenantFacts): Weight {
  const [size, load] = [sizeOf(facts), loadOf(facts)]
  return WEIGHTS.indexOf(load) > WEIGHTS.indexOf(size) ? load : size
}

const sizeOf = ({ bytes, shardBytes, wishes }: TenantFacts): Weight =>
  weigh(bytes, shardBytes, wishes.growth, 'bytes')

const loadOf = ({ load, wishes }: TenantFacts): Weight =>
  load ? weigh(load.ms, load.shardMs, wishes.growth, 'ms') : 'small'

function weigh(own: number, all: number, growth: number, unit: 'bytes' | 'ms'): Weight {
  const expected = own * growth
  // The others are taken to stay as they are.
  const share = expected / Math.max(1, all - own + expected)
  const is = (limit: typeof LARGE): boolean => expected >= limit[unit] && share >= limit.share
  if (is(HUGE)) return 'huge'
  return is(LARGE) ? 'large' : 'small'
}

// A database can be moved to another place by itself.
function regionPoints(model: Isolation, region: string | undefined): number {
  return region !== undefined && model === 'database' ? 3 : 2
}

function whyUnfit(model: Isolation, { plan, promised, wishes }: TenantFacts): string | undefined {
  if (promised !== undefined && ISOLATIONS.indexOf(model) < ISOLATIONS.indexOf(promised)) {
    return `the plan "${plan}" promises ${NAMES[promised]}`
  }
  if (model !== 'shared') return undefined
  if (wishes.compliance) return 'its rules ask for data apart'
  return wishes.customTables ? 'tables of its own cannot stand among shared ones' : undefined
}

const NAMES: Readonly<Record<Isolation, string>> = {
  shared: 'shared tables',
  schema: 'a schema of its own',
  database: 'a database of its own',
}

function reasonsOf(facts: TenantFacts, scores: readonly Score[], best: Score): string[] {
  const { wishes, rows, bytes, shardBytes, shard, schemas, databases } = facts
  const overhead = (model: Isolation): string =>
    `${sizeText(OWN_BYTES[model])} (${shareText(OWN_BYTES[model], bytes)} of its data)`
  return [
    `It has ${rows.toLocaleString('en')} rows and ${sizeText(bytes)}, ${shareText(bytes, shardBytes)} of what ${shard} holds.`,
    ...(wishes.growth === 1 ? [] : [`In a year it is expected to have ${sizeText(bytes * wishes.growth)}.`]),
    SCALE[sizeOf(facts)],
    ...loadReasons(facts),
    `Before its first row a schema of its own takes ${overhead('schema')}, a database ${overhead('database')}.`,
    `${shard} has ${count(schemas, 'schema', 'schemas')} and ${count(databases, 'database', 'databases')} of tenants: each is a target of every migration, and each database has connections of its own.`,
    ...(wishes.region === undefined
      ? []
      : [
          `Its data has to stay in ${wishes.region}: put it on a shard there; a database of its own can be moved alone.`,
        ]),
    ...scores.flatMap(({ model, unfit }) => (unfit === undefined ? [] : [`Not ${NAMES[model]}: ${unfit}.`])),
    conclusion(facts, best),
  ]
}

function loadReasons({ load, shard, wishes, ...facts }: TenantFacts): string[] {
  if (!load) return []
  const took = `In 7 days it took ${hoursText(load.ms)} of database time, ${shareText(load.ms, load.shardMs)} of what all on ${shard} took.`
  const weight = loadOf({ load, shard, wishes, ...facts })
  return weight === 'small' ? [took] : [took, LOAD[weight]]
}

const LOAD = {
  large: `That is a fifth or more, and ${hoursText(LARGE.ms)} or more: its neighbours wait for it.`,
  huge: `That is half or more, and ${hoursText(HUGE.ms)} or more: what it does decides how its neighbours fare.`,
}

const SCALE = {
  small: 'Its neighbours hardly feel it.',
  large: `It is a fifth or more of its shard and has ${sizeText(LARGE.bytes)} or more: its neighbours feel its index and vacuum work.`,
  huge: `It is half or more of its shard and has ${sizeText(HUGE.bytes)} or more: what it does decides how its neighbours fare.`,
}

function conclusion({ isolation }: TenantFacts, { model, total }: Score): string {
  if (model === isolation) return `So ${NAMES[model]}, as it is, with ${total} points.`
  return `So ${NAMES[model]}, with ${total} points; it is in ${NAMES[isolation]} now.`
}

const count = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`

/** '24.5 MB' */
export function sizeText(bytes: number): string {
  const [unit, name] = bytes >= 1024 * MB ? [1024 * MB, 'GB'] : bytes >= 0.1 * MB ? [MB, 'MB'] : [1024, 'kB']
  return `${(bytes / unit).toFixed(1).replace(/\.0$/, '')} ${name}`
}

/** '2.5 hours' */
function hoursText(ms: number): string {
  const hours = (ms / 3_600_000).toFixed(1).replace(/\.0$/, '')
  return `${hours} ${hours === '1' ? 'hour' : 'hours'}`
}

function shareText(part: number, whole: number): string {
  const percent = (100 * part) / Math.max(1, whole)
  if (percent > 999) return 'more than ten times'
  return percent > 0 && percent < 0.1 ? 'less than 0.1 %' : `${percent.toFixed(1).replace(/\.0$/, '')} %`
}
