/**
 * Progress of long work, on standard error: a line a step with its time, and a moving line where a person
 * is watching, with how fast it goes and how long it will take where the parts can be counted.
 */

import { styleText } from 'node:util'
import { type Clock, systemClock } from '../base/time.ts'

export interface Progress {
  /** Run one step; `report` tells what it is doing at the moment. */
  step<T>(title: string, work: (report: (sentence: string) => void) => Promise<T>): Promise<T>
  /** Run a step of `total` parts; `done` is called for each with what it has added. */
  counted<T>(title: string, total: number, work: (done: (added: number) => void) => Promise<T>): Promise<T>
  /** A moving line for work that tells how far it is by itself; `done` and `total` where they can be counted. */
  moving(title: string): (text: string, done?: number, total?: number) => void
  /** Take the moving line away. */
  still(): void
}

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const BAR = 24

export function terminalProgress(output: Output = process.stderr, clock: Clock = systemClock): Progress {
  const move = (text: string): void => {
    if (output.isTTY) output.write(`\r\x1b[K${text.slice(0, (output.columns ?? 80) - 1)}`)
  }
  async function run<T>(title: string, work: () => Promise<T>, detail: () => string): Promise<T> {
    const started = clock.elapsed()
    const end = (sign: string): void => {
      move('')
      output.write(`${sign} ${title}${detail()} (${((clock.elapsed() - started) / 1000).toFixed(1)} s)\n`)
    }
    move(`… ${title}`)
    try {
      const result = await work()
      end(mark('green', '✓', output))
      return result
    } catch (error) {
      end(mark('red', '✗', output))
      throw error
    }
  }
  return {
    step: (title, work) =>
      run(
        title,
        () => work((sentence) => move(`… ${title}: ${sentence}`)),
        () => '',
      ),
    counted(title, total, work) {
      let parts = 0
      let sum = 0
      const speed = speedometer(clock)
      const done = (added: number): void => {
        parts++
        sum += added
        move(`… ${title} ${bar(parts, total)} ${parts}/${total}${speed(parts, total)}, ${sum} new`)
      }
      return run(
        title,
        () => work(done),
        () => `: ${sum > 0 ? `${sum} new` : 'nothing new'}`,
      )
    },
    moving(title) {
      const speed = speedometer(clock)
      return (text, done, total) => {
        if (done === undefined || total === undefined || total === 0) return move(`… ${title}: ${text}`)
        move(`… ${title} ${bar(done, total)} ${done}/${total}${speed(done, total)}: ${text}`)
      }
    },
    still: () => move(''),
  }
}

/** ', 14.2/s, 16 s left' of work that begins now; '' while there is nothing to reckon with. */
function speedometer(clock: Clock): (done: number, total: number) => string {
  const started = clock.elapsed()
  return (done, total) => {
    const rate = done / ((clock.elapsed() - started) / 1000)
    if (!Number.isFinite(rate) || rate === 0) return ''
    const left = done < total ? `, ${durationText((total - done) / rate)} left` : ''
    return `, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s${left}`
  }
}

/** '16 s', '2 min 5 s', '1 h 4 min'. */
export function durationText(seconds: number): string {
  const whole = Math.ceil(seconds)
  const [h, min, s] = [Math.floor(whole / 3_600), Math.floor((whole % 3_600) / 60), whole % 60]
  if (h > 0) return `${h} h ${min} min`
  return min > 0 ? `${min} min ${s} s` : `${s} s`
}

function bar(parts: number, total: number): string {
  const full = Math.min(BAR, Math.round((parts / total) * BAR))
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`
}

function mark(colour: 'green' | 'red', sign: string, output: Output): string {
  return output.isTTY ? styleText(colour, sign) : sign
}
