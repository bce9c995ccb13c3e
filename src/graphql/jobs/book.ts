/** What code of an extension needs of the queue of jobs; made where the gateway is put together. */

import type { TenantId } from '../../base/ids.ts'
import type { JobRules } from '../../base/job-rules.ts'
import type { Clock } from '../../base/time.ts'

export interface JobBook {
  /** Jobs that extensions define, by name. */
  readonly rules: JobRules
  /** Hand the jobs that the tenant's database has noted to the queue, soon and until it has them; never throws. */
  forward(tenant: TenantId): void
  readonly clock: Clock
}

/** The book in the hands of one operation. */
export class Jobs {
  readonly book: JobBook
  /** The transaction of the operation has noted jobs, which go to the queue when it has ended. */
  noted = false

  constructor(book: JobBook) {
    this.book = book
  }
}
