/** The list of families in docs/observability.md, as the tests read it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const PAGE = join(import.meta.dirname, '../../docs/observability.md')

export interface ListedFamily {
  readonly type: string
  readonly labels: readonly string[]
}

/** Name → what the page says of it. Rows of its tables: | `name` | type | `label` `label` | meaning | */
export function listedFamilies(): ReadonlyMap<string, ListedFamily> {
  const rows = readFileSync(PAGE, 'utf8').matchAll(
    /^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\| [^|]+ \|$/gm,
  )
  return new Map(
    [...rows].map(([, name = '', type = '', labels = '']) => [
      name,
      { type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label) },
    ]),
  )
}
