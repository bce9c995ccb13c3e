/**
 * Registered documents: texts that clients have sent with their hash, kept so that the hash is enough from then on.
 *
 * They are shared by all tenants, because documents belong to an application and values to variables: what can be
 * found out by a hash is that somebody runs this application. A text cannot be had by its hash, it can only be run.
 * Kept for each tenant instead, the same 100 texts of one application would be 1,000,000 entries for 10,000 tenants.
 *
 * The room is bounded and shared fairly. A document counts for the tenant that brought it. When the room is full,
 * the tenant with the most in it loses what has not been asked for the longest, so who registers without end pushes
 * out documents of its own, and never those of a tenant with fewer. A plain LRU would let one caller cost every
 * other tenant a second round trip. Who is pushed out registers again with the next request, as a client of APQ does.
 */

/** Characters of all texts, and what an entry costs beside its text: 10,000 documents at the most. */
const ROOM = 2_000_000
const ENTRY = 200

export interface RegisteredDocuments {
  find(hash: string): string | undefined
  /** Keep a text by its hash, for whoever asks; `tenant` is who brought it. */
  keep(hash: string, text: string, tenant: string): void
}

interface Entry {
  readonly text: string
  readonly share: Share
}

/** What one tenant has in the room: its hashes, the longest unused first. */
interface Share {
  readonly tenant: string
  readonly hashes: Set<string>
  weight: number
}

/** @param room  characters of all texts together, 200 more for each */
export function registeredDocuments(room = ROOM): RegisteredDocuments {
  const entries = new Map<string, Entry>()
  const shares = new Map<string, Share>()
  let weight = 0

  function drop(hash: string, { text, share }: Entry): void {
    entries.delete(hash)
    share.hashes.delete(hash)
    weigh(share, -text.length - ENTRY)
    if (share.hashes.size === 0) shares.delete(share.tenant)
  }

  function weigh(share: Share, more: number): void {
    share.weight += more
    weight += more
  }

  // By looking at all: 300 µs where each of 10,000 tenants has a document, and only when one is pushed out.
  function largest(): Share | undefined {
    let found: Share | undefined
    for (const share of shares.values()) if (!found || share.weight > found.weight) found = share
    return found
  }

  function makeRoom(): void {
    while (weight > room) {
      const [oldest = ''] = largest()?.hashes ?? []
      const entry = entries.get(oldest)
      if (!entry) return
      drop(oldest, entry)
    }
  }

  return {
    find(hash) {
      const entry = entries.get(hash)
      if (!entry) return undefined
      entry.share.hashes.delete(hash)
      entry.share.hashes.add(hash)
      return entry.text
    },

    keep(hash, text, tenant) {
      if (entries.has(hash)) return
      const share = shares.get(tenant) ?? { tenant, hashes: new Set<string>(), weight: 0 }
      shares.set(tenant, share)
      share.hashes.add(hash)
      entries.set(hash, { text, share })
      weigh(share, text.length + ENTRY)
      makeRoom()
    },
  }
}
