/**
 * What gateways read of targets (targets.ts): which structure each place has. Whoever has the structure of one place
 * as a model knows what all others of the same structure hold.
 */

import type { TenantId } from '../base/ids.ts'
import { compile, type Statement, sql } from '../db/sql.ts'
import type { TargetKey } from './targets.ts'

export interface RecordedTarget extends TargetKey {
  /** Whose own it is; null for a shared schema. */
  readonly tenant: TenantId | null
  /** Fingerprint of its structure; null when its migration has not ended yet. */
  readonly structure: string | null
}

export interface Structures {
  readonly targets: readonly RecordedTarget[]
  /** For the next question about what has changed since this one. */
  readonly at: string
}

/**
 * Seconds by which a question reaches back before the answer to the one before it: a change becomes visible when its
 * transaction ends, and carries the time of its statement.
 */
const OVERLAP_S = 10

/** One row of one column for `structuresFrom`. @param since  `at` of an answer; null asks for all */
export function structuresStatement(since: string | null): Statement {
  return compile(sql`
    select json_build_object(
      'at', clock_timestamp() - make_interval(secs => ${sql.value(OVERLAP_S)}::int),
      'targets', coalesce(json_agg(json_build_object(
        'shard', shard, 'isolation', isolation, 'namespace', namespace, 'tenant', tenant_id,
        'structure', structure)), '[]'))
    from directory.target
    where changed_at > coalesce(${sql.value(since)}::timestamptz, '-infinity')`)
}

export function structuresFrom(text: string | null | undefined): Structures {
  return JSON.parse(text ?? 'null') as Structures
}
