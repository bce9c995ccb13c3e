/** A finding of doctor's: where, what, why, and what mends it. */

export interface Diagnosis {
  /** 'directory' or the key of a shard. */
  readonly where: string
  readonly table?: string
  readonly check: string
  /** 'unsafe' keeps the gateway from serving it; 'advice' does not; a 'note' is as it was asked for. */
  readonly severity: 'unsafe' | 'advice' | 'note'
  readonly reason: string
  /** What mends it. */
  readonly sql?: string
  /** Whether `adopt` writes a migration that mends it. */
  readonly adopt?: true
}

export const unsafe = (where: string, check: string, reason: string): Diagnosis => ({
  where,
  check,
  severity: 'unsafe',
  reason,
})

export const advice = (where: string, check: string, reason: string): Diagnosis => ({
  where,
  check,
  severity: 'advice',
  reason,
})
