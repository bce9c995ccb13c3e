/** The jobs that extensions define, with their defaults filled in. */

import { fail } from '../../base/errors.ts'
import { type JobRule, jobRuleOf } from '../../base/job-rules.ts'
import type { JobDefinition, JobDefinitions } from './definition.ts'

export interface KnownJobs {
  readonly rules: ReadonlyMap<string, JobRule>
  readonly definitions: ReadonlyMap<string, JobDefinition>
}

const KEYS = ['run', 'retries', 'backoff', 'deadlineMs', 'concurrency', 'schedule']

/** @throws CONFIG_INVALID  a job has no `run`, a key or a value that none may have, or is defined twice */
export function jobsOfExtensions(extensions: readonly { readonly jobs?: JobDefinitions }[]): KnownJobs {
  const rules = new Map<string, JobRule>()
  const definitions = new Map<string, JobDefinition>()
  for (const [name, definition] of extensions.flatMap(({ jobs = {} }) => Object.entries(jobs))) {
    if (definitions.has(name)) fail('CONFIG_INVALID', `jobs.${name}: two extensions define it.`)
    const stranger = Object.keys(definition).find((key) => !KEYS.includes(key))
    if (stranger !== undefined) {
      fail('CONFIG_INVALID', `jobs.${name}: wanted ${KEYS.join(', ')}; "${stranger}" came.`)
    }
    if (typeof definition.run !== 'function') fail('CONFIG_INVALID', `jobs.${name}.run: wanted a function.`)
    const { run: _, ...rule } = definition
    rules.set(name, jobRuleOf(name, rule))
    definitions.set(name, definition)
  }
  return { rules, definitions }
}
