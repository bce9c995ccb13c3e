/** The contract of base/log.ts: what is written, what is secret, and a sink that fails. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fail } from '../../src/base/errors.ts'
import type { Event } from '../../src/base/events.ts'
import { createLog, type LogSink } from '../../src/base/log.ts'
import { lineOf } from '../../src/base/log-lines.ts'
import { describeError, scrub } from '../../src/base/scrub.ts'

const PASSWORD = 'hunter2-correct-horse'
const TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJ0ZW5hbnRfaWQiOiJhIn0.c2lnbmF0dXJl'

function memorySink(): LogSink & { lines: string[] } {
  const lines: string[] = []
  return { lines, writableLength: 0, write: (line) => lines.push(line), on: () => {} }
}

/** Let the time pass for which lines of requests wait for each other. */
const wait = () => vi.advanceTimersByTime(10)
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const done: Event = {
  kind: 'request.done',
  requestId: 'r-1',
  method: 'POST',
  route: 'graphql',
  status: 200,
  durationMs: 3,
  tenant: 'acme',
  operation: 'Tickets',
  cost: 3,
  bytesIn: 90,
  bytesOut: 400,
  errors: 0,
}

describe('lines', () => {
  it('writes one JSON object a line, with the level as a word', () => {
    const sink = memorySink()
    createLog('info', sink).listener(done)
    wait()
    expect(sink.lines).toHaveLength(1)
    expect(JSON.parse(sink.lines[0]!)).toMatchObject({
      level: 'info',
      message: 'request',
      requestId: 'r-1',
      tenant: 'acme',
    })
  })

  it('writes requests of 10 ms together, and every other line at once and after them', () => {
    const sink = memorySink()
    const { listener } = createLog('info', sink)
    const kinds = () =>
      sink.lines.map((text) =>
        text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line).kind),
      )
    listener(done)
    listener(done)
    listener({ kind: 'gateway.stopped' })
    expect(kinds()).toEqual([['request.done', 'request.done', 'gateway.stopped']])
    listener(done)
    listener(done)
    wait()
    expect(kinds().slice(1)).toEqual([['request.done', 'request.done']])
    listener(done)
    wait()
    wait()
    expect(kinds()).toHaveLength(3)
  })

  it('writes what waits when it is told to, and not again', () => {
    const sink = memorySink()
    const { listener, flush } = createLog('info', sink)
    listener(done)
    flush()
    expect(sink.lines).toHaveLength(1)
    flush()
    wait()
    expect(sink.lines).toHaveLength(1)
  })

  it('does not write what is below its level', () => {
    const sink = memorySink()
    const { listener } = createLog('warn', sink)
    listener(done)
    listener({ ...done, status: 503 })
    wait()
    expect(sink.lines.map((line) => JSON.parse(line).status)).toEqual([503])
  })

  it('leaves out fields that nobody named', () => {
    const event = { ...done, variables: { email: 'canary@example.com' } } as Event
    expect(JSON.stringify(lineOf(event))).not.toContain('canary')
  })
})

describe('secrets', () => {
  it.each([
    `connect failed: postgres://app:${PASSWORD}@db.internal:5432/shardgate`,
    `postgresql://app:${PASSWORD}@[::1]/x refused`,
    `redis://:${PASSWORD}@cache:6379`,
    `password=${PASSWORD} host=db`,
    `{"password": "${PASSWORD}"}`,
    `Authorization: Bearer ${TOKEN}`,
    `token ${TOKEN} is not valid`,
  ])('cuts credentials out of %s', (text) => {
    expect(scrub(text)).not.toContain(PASSWORD)
    expect(scrub(text)).not.toContain(TOKEN)
  })

  it('keeps what helps: host, user and database', () => {
    expect(scrub(`postgres://app:${PASSWORD}@db:5432/shardgate`)).toBe('postgres://***@db:5432/shardgate')
  })

  it('writes no row data of a Postgres error, also not of a cause', () => {
    const cause = Object.assign(new Error('invalid input syntax for type uuid: "canary-value"'), {
      code: '22P02',
      detail: 'Failing row contains (canary-value).',
      where: 'canary-value',
    })
    const line = JSON.stringify(describeError(new Error('resolver failed', { cause })))
    expect(line).not.toContain('canary-value')
    expect(line).toContain('22P02')
  })

  it('survives causes that go in a circle and things that are not errors', () => {
    const error = new Error('round')
    error.cause = error
    expect(describeError(error).cause?.cause?.cause?.cause).toBeUndefined()
    expect(describeError({ canary: 1 }).message).not.toContain('canary')
    expect(describeError(undefined).name).toBe('undefined')
  })

  it('keeps the code of our own errors', () => {
    expect(describeError(catchError(() => fail('TIMEOUT', 'Too late.'))).code).toBe('TIMEOUT')
  })
})

describe('fault 65: a blocked or broken sink', () => {
  it('drops and counts once too much waits', () => {
    const sink = memorySink()
    const full = { ...sink, writableLength: 2 ** 21 }
    const log = createLog('info', full)
    for (let i = 0; i < 10; i += 1) log.listener(done)
    wait()
    expect(sink.lines).toHaveLength(0)
    expect(log.dropped()).toBe(10)
  })

  it('neither throws when the sink throws nor ends the process when it breaks', () => {
    let broken: ((error: Error) => void) | undefined
    const sink: LogSink = {
      writableLength: 0,
      write() {
        throw new Error('EPIPE')
      },
      on: (_, listener) => {
        broken = listener
      },
    }
    const log = createLog('info', sink)
    log.listener(done)
    wait()
    broken?.(new Error('ENOSPC'))
    expect(log.dropped()).toBe(2)
  })

  // The child logs 40 MB into a pipe that nobody reads, then says on stderr that it lives and goes.
  it('a full pipe stalls neither the work nor the exit', async () => {
    const log = fileURLToPath(new URL('../../src/base/log.ts', import.meta.url))
    const script = `
      import { createLog } from ${JSON.stringify(log)}
      const { listener, dropped } = createLog('info')
      for (let i = 0; i < 200_000; i++) listener(${JSON.stringify(done)})
      setTimeout(() => { console.error(dropped() > 100_000 ? 'alive' : 'stuck'); process.exit(0) }, 1)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    const [code] = await once(child, 'exit')
    child.stdout.destroy()
    expect({ code, said: said.trim() }).toEqual({ code: 0, said: 'alive' })
  })
})

function catchError(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
