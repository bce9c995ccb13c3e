/** What a plan rests on, as a hash: the buckets, and where each of its tenants is, at which epoch. */

import type { TenantId } from '../../base/ids.ts'
import { hashOf } from './document.ts'
import type { Actual } from './types.ts'

/** Of all else that may change meanwhile, tenants that come and go and what is in them, nothing in a plan depends. */
export function stateHash({ buckets, namespace, tenants }: Actual, moved: readonly TenantId[]): string {
  const wanted = new Set<string>(moved)
  const places = tenants
    .filter(({ id }) => wanted.has(id))
    .map(({ id, shard, isolation, namespace: own, isOwn, epoch, bucket }) => [
      id,
      shard,
      isolation,
      own,
      isOwn,
      epoch,
      bucket,
    ])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
  return hashOf({ buckets, namespace, places })
}
