/**
 * Hot reload: takes from a changed `shards.config.json` what may change while the gateway runs.
 *
 * The folder is watched, so that a file that is renamed into place or a swapped symbolic link is
 * seen, and a digest of the text is compared every 2 seconds, because a watch may miss a change (network
 * file systems, containers). A file that cannot be read, is half written or is wrong in any key
 * changes nothing: the old configuration stays whole, and one event says why.
 *
 * Manifests of trusted documents are part of the configuration: a change of one is a change of `documents.trusted`.
 *
 * An edit never re-routes anybody: shards, their addresses, the router and the directory change by
 * a plan that an operator applies, or with a restart (docs/architecture.md, the operator's path).
 */

import { createHash } from 'node:crypto'
import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Config, loadConfig, manifestsOf } from './config.ts'
import type { Emit } from './events.ts'
import { deepFreeze } from './freeze.ts'

const RUNTIME: readonly RegExp[] = [
  /^limits\.\w+$/,
  /^(plans|cache)$/,
  /^shards\.[^.]+\.(weight|(read|slow|write|overflow)Connections|readDepth|connectMs|maxAgeMinutes|pingAfterMs)$/,
  /^tokens$/,
  /^moves\.(holdMs|holdRequests)$/,
  /^http\.(corsOrigins|compiledLane|drainMs|stopMs)$/,
  /^documents\.(apq|trusted|trustedOnly)$/,
]

/** Wishes of an operator, which `shardgate plan` reads: to a gateway they say nothing. */
const PLANNED: readonly RegExp[] = [
  /^(pins|router\.assign)(\.|$)/,
  /^shards\.[^.]+\.(drain|plans|isolations|capacity)(\.|$)/,
]

export interface ConfigDifference {
  /** The current configuration, with what may change at run time taken from the next one. */
  readonly config: Config
  /** Keys that `config` has from the next one. */
  readonly changed: readonly string[]
  /** Keys that differ and keep their current value until the next start. */
  readonly needsRestart: readonly string[]
  /** Keys that differ and take effect by `shardgate apply`. */
  readonly planned: readonly string[]
}

/** What of `next` may be taken while the gateway runs, and what may not. */
export function diffConfig(current: Config, next: Config): ConfigDifference {
  const before = leavesOf(current)
  const after = leavesOf(next)
  const differing = [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => JSON.stringify(before.get(path)) !== JSON.stringify(after.get(path)),
  )
  const changed = differing.filter((path) => before.has(path) && after.has(path) && isRuntime(path))
  const planned = differing.filter((path) => PLANNED.some((pattern) => pattern.test(path)))
  const others = differing.filter((path) => !changed.includes(path) && !planned.includes(path))
  const needsRestart = [...new Set(others.map(wholeShard))]
  const config = structuredClone(current)
  for (const path of changed) setLeaf(config, path, after.get(path))
  return { config: deepFreeze(config), changed, needsRestart, planned }

  // A shard that comes or goes is one change, not seven.
  function wholeShard(path: string): string {
    const [, shard] = /^shards\.([^.]+)\./.exec(path) ?? []
    const isNew = shard !== undefined && !(shard in current.shards && shard in next.shards)
    return isNew ? `shards.${shard}` : path
  }
}

const isRuntime = (path: string): boolean => RUNTIME.some((pattern) => pattern.test(path))

/** Keys whose names come and go: each is one leaf. */
const WHOLE: readonly string[] = ['plans', 'cache']

/** Path → value; a list is one leaf, because its items have no names. */
function leavesOf(value: object, at = '', leaves = new Map<string, unknown>()): Map<string, unknown> {
  for (const [key, item] of Object.entries(value)) {
    const path = at ? `${at}.${key}` : key
    const isBranch = typeof item === 'object' && item !== null && !Array.isArray(item)
    if (isBranch && !WHOLE.includes(path)) leavesOf(item, path, leaves)
    else leaves.set(path, item)
  }
  return leaves
}

function setLeaf(target: object, path: string, value: unknown): void {
  const parts = path.split('.')
  const last = parts.pop() as string
  const holder = parts.reduce<object>((at, part) => Reflect.get(at, part), target)
  Reflect.set(holder, last, value)
}

export interface ConfigWatchOptions {
  /** What runs now. */
  readonly config: Config
  /**
   * Makes the gateway use `config`. It throws before it has changed anything when it cannot; the old
   * configuration then stays.
   */
  readonly apply: (config: Config, changed: readonly string[]) => void | Promise<void>
  readonly emit: Emit
  /** Reads and checks the file. Default `loadConfig` with this process's environment. */
  readonly load?: (file: string) => Config
  /** Milliseconds between two looks at the file. Default 2000. */
  readonly pollMs?: number
  /** Milliseconds of quiet after a change in the folder before the file is read. Default 100. */
  readonly settleMs?: number
}

export interface ConfigWatch {
  /** What runs now. */
  current(): Config
  /** Look at the file; for timers and tests. Does nothing when the text is the one seen last. */
  check(): Promise<void>
  /** Read the file whatever was seen before: for SIGHUP. */
  reload(): Promise<void>
  stop(): void
}

/** Watch the file of `options.config`. Its timers keep no process alive. */
export function watchConfig(options: ConfigWatchOptions): ConfigWatch {
  const { emit, apply, load = loadConfig, pollMs = 2_000, settleMs = 100 } = options
  const { file } = options.config
  let current = options.config
  /** What the file says, whether it is used or refused. */
  let latest = current
  let manifests = statesOf(current)
  let seen = look()
  let refused = false

  function look(): string {
    return digestOf(file) + statesOf(latest)
  }
  let queue = Promise.resolve()

  async function judge(): Promise<void> {
    const digest = digestOf(file)
    seen = digest + statesOf(latest)
    try {
      latest = load(file)
      const states = statesOf(latest)
      seen = digest + states
      const { config, changed: keys, needsRestart } = diffConfig(current, latest)
      const changed = states === manifests ? keys : [...new Set([...keys, 'documents.trusted'])]
      if (changed.length > 0) await apply(config, changed)
      current = config
      manifests = states
      if (refused || changed.length + needsRestart.length > 0) {
        emit({ kind: 'config.reloaded', file, changed, needsRestart })
      }
      refused = false
    } catch (error) {
      refused = true
      emit({ kind: 'config.refused', file, reason: error instanceof Error ? error.message : 'unknown' })
    }
  }

  // One at a time: two changes in a row must not overtake each other inside `apply`.
  const enqueue = (work: () => Promise<void>): Promise<void> => {
    queue = queue.then(work)
    return queue
  }
  const reload = (): Promise<void> => enqueue(judge)
  const check = (): Promise<void> =>
    enqueue(async () => {
      if (look() !== seen) await judge()
    })
  const stop = startTimers(file, check, pollMs, settleMs)
  return { current: () => current, check, reload, stop }
}

function startTimers(file: string, check: () => Promise<void>, pollMs: number, settleMs: number): () => void {
  let settling: NodeJS.Timeout | undefined
  const soon = (): void => {
    clearTimeout(settling)
    settling = setTimeout(check, settleMs).unref()
  }
  const poll = setInterval(check, pollMs).unref()
  const watcher = watchFolder(file, soon)
  return () => {
    clearInterval(poll)
    clearTimeout(settling)
    watcher?.close()
  }
}

// Any change beside the file counts: what is swapped may be a link that the file is reached through.
function watchFolder(file: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(file), { persistent: false }, (_, name) => {
      if (name === null || name === basename(file) || name.startsWith('..')) onChange()
    })
    return watcher.on('error', () => watcher.close())
  } catch {
    return undefined // The system has no watches left; the poll goes on.
  }
}

/** Which manifests there are, and since when, without reading them: they may be megabytes, and this is every two seconds. */
function statesOf(config: Config): string {
  return manifestsOf(config)
    .map(({ file, ids }) => `${file} ${ids} ${stateOf(file)}`)
    .join('\n')
}

function stateOf(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file)
    return `${ino} ${size} ${mtimeMs}`
  } catch {
    return 'unreadable'
  }
}

function digestOf(file: string): string {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  } catch {
    return 'unreadable'
  }
}
