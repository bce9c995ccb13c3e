/**
 * How jobs of one kind are run, whoever defines them: retries, time, turns. An extension gives what it wants otherwise
 * than the defaults; times are in the unit that the name ends with.
 */

import { fail } from './errors.ts'
import { nearest } from './nearest.ts'

export interface JobRule {
  /** Runs after the first one that failed; 0 to 100. Default is 5. */
  readonly retries: number
  /** Seconds before the first retry, doubled for each further one up to `maxS`. Default is 5 seconds, up to an hour. */
  readonly backoff: { readonly firstS: number; readonly maxS: number }
  /** Milliseconds that one run may take; 100 to 600,000. Default is 30,000. */
  readonly deadlineMs: number
  /** Runs at the same time in one process; default is as many as the process runs jobs. */
  readonly concurrency: number
  /** When the job is run for every active tenant; left out, when somebody asks for it. */
  readonly schedule?: JobSchedule
}

export interface JobSchedule {
  /** Minute, hour, day of the month, month, day of the week: '0 6 * * *'. */
  readonly cron: string
  /** Name of the time zone that `cron` is read in; default is 'UTC'. */
  readonly timeZone?: string
}

/** What of it is wanted otherwise. */
export interface JobWishes extends Partial<Omit<JobRule, 'backoff'>> {
  readonly backoff?: Partial<JobRule['backoff']>
}

export type JobRules = ReadonlyMap<string, JobRule>

export const JOB_DEFAULTS: JobRule = Object.freeze({
  retries: 5,
  backoff: Object.freeze({ firstS: 5, maxS: 3_600 }),
  deadlineMs: 30_000,
  concurrency: 64,
})

/** Bytes of what a job is given, as JSON: it stands in two databases, and rows are the place for more. */
export const JOB_DATA_BYTES_MAX = 65_536

const NAME = /^[A-Za-z][A-Za-z0-9_]{0,62}$/

/**
 * The rule of a job with its defaults filled in.
 *
 * @throws CONFIG_INVALID  a name or a number is none that a job may have
 */
export function jobRuleOf(name: string, given: JobWishes): JobRule {
  const rule = { ...JOB_DEFAULTS, ...given, backoff: { ...JOB_DEFAULTS.backoff, ...given.backoff } }
  if (!NAME.test(name)) {
    fail('CONFIG_INVALID', `jobs: wanted a name of letters, digits and _; ${JSON.stringify(name)} came.`)
  }
  requireWhole(name, 'retries', rule.retries, 0, 100)
  requireWhole(name, 'backoff.firstS', rule.backoff.firstS, 1, 86_400)
  requireWhole(name, 'backoff.maxS', rule.backoff.maxS, rule.backoff.firstS, 86_400)
  requireWhole(name, 'deadlineMs', rule.deadlineMs, 100, 600_000)
  requireWhole(name, 'concurrency', rule.concurrency, 1, 1_000)
  return rule
}

function requireWhole(job: string, key: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  fail('CONFIG_INVALID', `jobs.${job}.${key}: wanted a whole number from ${min} to ${max}; ${value} came.`)
}

/** @throws BAD_USER_INPUT  no extension defines a job of this name */
export function ruleNamed(rules: JobRules, name: string): JobRule {
  const rule = rules.get(name)
  if (rule) return rule
  const names = [...rules.keys()]
  const meant = nearest(name, names)
  const hint =
    names.length === 0
      ? 'No extension defines a job; see docs/jobs.md.'
      : `There are: ${names.join(', ')}${meant === undefined ? '' : `; did you mean "${meant}"?`}`
  return fail('BAD_USER_INPUT', `There is no job "${name}".`, {}, { hint })
}

/**
 * What a job is given, as the JSON that is kept of it.
 *
 * @throws BAD_USER_INPUT  it is no JSON, or too large
 */
export function jobDataText(name: string, data: unknown): string {
  const text = JSON.stringify(data)
  if (text === undefined) fail('BAD_USER_INPUT', `The data of the job "${name}" are no JSON.`)
  const bytes = Buffer.byteLength(text)
  if (bytes <= JOB_DATA_BYTES_MAX) return text
  const sentence = `The data of the job "${name}" have ${bytes} bytes; ${JOB_DATA_BYTES_MAX} are allowed.`
  return fail(
    'BAD_USER_INPUT',
    sentence,
    {},
    { hint: 'Give the job the keys of rows, and let it read them.' },
  )
}
