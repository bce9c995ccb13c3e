/**
 * Progress of long work, on standard error: a line a step with its time, and a moving line where a person
 * is watching.
 */

import { styleText } from 'node:util'

export interface Progress {
  /** Run one step; `report` tells what it is doing at the moment. */
  step<T>(title: string, work: (report: (sentence: string) => void) => Promise<T>): Promise<T>
  /** Run a step of `total` parts; `done` is called for each with what it has added. */
  counted<T>(title: string, total: number, work: (done: (added: number) => void) => Promise<T>): Promise<T>
}

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const BAR = 24

export function terminalProgress(output: Output = process.stderr): Progress {
  const moving = (text: string): void => {
    if (output.isTTY) output.write(`\r\x1b[K${text.slice(0, (output.columns ?? 80) - 1)}`)
  }
  async function run<T>(title: string, work: () => Promise<T>, detail: () => string): Promise<T> {
    const started = performance.now()
    const end = (sign: string): void => {
      moving('')
      output.write(`${sign} ${title}${detail()} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`)
    }
    moving(`… ${title}`)
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
        () => work((sentence) => moving(`… ${title}: ${sentence}`)),
        () => '',
      ),
    counted(title, total, work) {
      let parts = 0
      let sum = 0
      const done = (added: number): void => {
        parts++
        sum += added
        moving(`… ${title} ${bar(parts, total)} ${parts}/${total}, ${sum} new`)
      }
      return run(
        title,
        () => work(done),
        () => `: ${sum > 0 ? `${sum} new` : 'nothing new'}`,
      )
    },
  }
}

function bar(parts: number, total: number): string {
  const full = Math.round((parts / total) * BAR)
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`
}

function mark(colour: 'green' | 'red', sign: string, output: Output): string {
  return output.isTTY ? styleText(colour, sign) : sign
}
