/** What whoever moves a tenant sees of the changes that are followed (follow.ts). */

import type { Lag } from './pulse.ts'

export interface Follower {
  /** Resolves when everything before the mark is committed at the other end; at once when it came before. */
  reached(mark: string): Promise<void>
  /**
   * Do `work` while nothing is applied and everything before the mark is. Call it before the mark is made.
   *
   * @throws what `work` throws, after which the changes go on
   */
  stopAt<T>(mark: string, work: () => Promise<T>): Promise<T>
  /**
   * Keys of rows that were touched after the mark, by id of their table: values as text, those of the columns that
   * `rowKeysOf` gives for the end where changes come from. Of a table without a key one that is empty: any of its rows.
   */
  touchedSince(mark: string): ReadonlyMap<string, readonly (readonly string[])[]> | 'too many'
  lag(): Lag
  /** Rejects as soon as changes can no longer be followed; nobody has to listen. */
  readonly failed: Promise<never>
  /** Nothing more is applied. What waits for a mark is rejected. */
  end(): Promise<void>
}

export interface FollowOptions {
  /**
   * Changes up to and including the transaction of this mark are ignored; then, or when it has come in an earlier run,
   * they are applied. For the way back, whose slot is made while changes still come forward: those must not return.
   */
  readonly ignoreBefore?: string
}
