/** Operations on the command line: what they tell, as a moving line. */

import type { Report } from '../control/operations/types.ts'
import { terminalProgress } from './progress.ts'

/** Run `work` with a moving line; each of its parts that is counted has a speed of its own. */
export function watched<T>(title: string, work: (report: Report) => Promise<T>): Promise<T> {
  const progress = terminalProgress()
  let of: number | undefined
  let move = progress.moving(title)
  const report: Report = (text, done, total) => {
    if (total !== of) move = progress.moving(title)
    of = total
    move(text, done, total)
  }
  return progress.step(title, () => work(report))
}
