/**
 * The log: JSON lines for whatever happens. It subscribes to the events and to nothing else; log-lines.ts decides what
 * is written, and what is secret.
 *
 * A sink that is full or broken costs lines, never a request: lines are dropped and counted once
 * `SINK_BYTES_MAX` wait to be written (docs/architecture.md, what fails open). Lines of requests
 * wait for each other, 10 ms or 64 lines: each write wakes whoever reads the pipe, which was a fifth of the CPU of
 * a point query under load. Every other line goes at once, after those.
 */

import pino from 'pino'
import type { Emit, Event } from './events.ts'
import { type LogLevel, lineOf } from './log-lines.ts'

/** The part of a writable stream that the log uses; `process.stdout` is one. */
export interface LogSink {
  readonly writableLength: number
  write(line: string): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
}

export interface Log {
  /** Subscribe this to the events. Never throws, never waits. */
  readonly listener: Emit
  /** Lines that were lost because the sink was full or broken. */
  dropped(): number
  /** Write what waits: for the end of the process, which on a fault comes at once. Those are the lines before it. */
  flush(): void
}

// A megabyte is some 3,000 lines: seconds of a busy gateway, and nothing beside its heap.
const SINK_BYTES_MAX = 1_048_576

/** Lines of requests written together at most, some 20 kB: the bound above is looked at before each write. */
const LINES_TOGETHER_MAX = 64
const HOLD_MS = 10

/**
 * @param level  lines below it are not even built
 * @param sink   where lines go; a pipe must not block (`process.stdout` on POSIX does not)
 */
export function createLog(level: LogLevel, sink: LogSink = process.stdout): Log {
  let dropped = 0
  let waiting: string[] = []
  // Without a listener a broken pipe or a full disk would end the process.
  sink.on('error', () => {
    dropped += 1
  })
  const flush = (): void => {
    const lines = waiting
    waiting = []
    try {
      if (sink.writableLength > SINK_BYTES_MAX) dropped += lines.length
      else if (lines.length > 0) sink.write(lines.join(''))
    } catch {
      dropped += lines.length
    }
  }
  const hold = (line: string): void => {
    waiting.push(line)
  }
  const logger = pino(
    { level, base: null, messageKey: 'message', formatters: { level: nameOf } },
    { write: hold },
  )
  const listener = (event: Event): void => {
    const line = lineOf(event)
    if (!logger.isLevelEnabled(line.level)) return
    logger[line.level](line.fields, line.message)
    if (event.kind !== 'request.done' || waiting.length >= LINES_TOGETHER_MAX) flush()
    else if (waiting.length === 1) setTimeout(flush, HOLD_MS)
  }
  return { listener, dropped: () => dropped, flush }
}

const nameOf = (label: string): object => ({ level: label })
