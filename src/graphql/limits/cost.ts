/**
 * What an operation costs: one number, told before it runs, and the same in both lanes.
 *
 * Its unit is the reading of a row by its key. What a table is asked for counts once, however many rows it stands
 * below: a lane reads it in one statement. The rows are what grows, and they are counted as the answer holds them. To
 * count or sum a list reads all of it, and a write has indexes, checks and the log to pay for: ten of either.
 */

export const PRICES = Object.freeze({
  operation: 1,
  /** A list, a relation, a row by its key, a field of an extension at the top. */
  part: 1,
  /** `totalCount`, `aggregates`, `groups`. */
  whole: 10,
  /** A field of Mutation. */
  write: 10,
  /** A row that it may write, children included. */
  written: 1,
})

/** Rows in the answer that cost one more. */
const ROWS_A_POINT = 10

/**
 * @param points  what the operation costs without rows
 * @param rows    that the answer may hold, or those that it held
 */
export function costOf(points: number, rows: number): number {
  return points + Math.floor(rows / ROWS_A_POINT)
}
