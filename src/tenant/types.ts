/** Who is asking: made from a verified token, and from nothing else. */

import type { TenantId } from '../base/ids.ts'

export const ROLES = ['viewer', 'member', 'admin', 'operator'] as const
export type Role = (typeof ROLES)[number]

export interface Identity {
  readonly tenant: TenantId
  /** "sub" of the token; '' when it has none. */
  readonly subject: string
  readonly roles: readonly Role[]
  readonly issuer: string
  /** Seconds since 1970 at which the token ends. */
  readonly expiresAt: number
}
