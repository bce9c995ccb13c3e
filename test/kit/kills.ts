/**
 * Commands that are killed at every statement that they send.
 *
 *     const stage = await openStage(prepare)
 *     const play = await stage.rehearse({ args: ['tenant', 'create', 'acme'] })     // counts the statements: play.count
 *     for (let k = 1; k <= play.count; k++) await play.resume(k)                     // throws what is wrong
 *
 * The command is a process of its own, and reaches all databases through one wire proxy. The proxy holds the k-th
 * statement until the process is dead, and then lets nothing more of it pass: the server has done k - 1 statements.
 * Boundaries are counted in a run that nobody kills, so a new statement is a new boundary, without a word here.
 */

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Terminal } from '../../src/commands/print.ts'
import { runCommand } from '../../src/commands/program.ts'
import { withClient } from '../../src/db/client.ts'
import { verifyAudit } from '../../src/directory/audit.ts'
import { type Ending, shardgate } from './command.ts'
import { filesOf } from './files.ts'
import { freshFleet, type TestFleet } from './fleet.ts'
import { changesOf, stateOf } from './fleet-state.ts'
import { copyServer, withPg } from './server-copies.ts'
import { privateServer } from './servers.ts'
import { type Sight, sightOf } from './sight.ts'
import type { Message } from './wire-messages.ts'
import { wireProxy } from './wire-proxy.ts'

export const STAGE_SCHEMA = 'app'

/** What `prepare` is given: an empty fleet of two shards, and a folder for files. */
export interface Setting {
  readonly fleet: TestFleet
  /** Copied and brought back with the databases; the commands run in it. */
  readonly folder: string
  /** Run a command that nobody kills, and give what it prints; throws where it is refused. */
  run(...args: string[]): Promise<string>
}

export interface Scene {
  /** 'FOLDER' in them stands for the folder of the stage. */
  readonly args: readonly string[]
  /** What the command asks to be typed. */
  readonly env?: Readonly<Record<string, string>>
  /** Done place by place, with nothing to abort: after a kill each place is as before or as after. */
  readonly piecemeal?: boolean
  /** Changes the folder before the command runs: a new migration, for one. */
  readonly arrange?: (folder: string) => void
  /** Files that two runs write differently: names that match are looked for, not into. */
  readonly varying?: RegExp
}

export interface Stage {
  /** Run `scene` to its end once, from the kept state, and count. */
  rehearse(scene: Scene): Promise<Play>
  close(): Promise<void>
}

export interface Play {
  /** Statements that the command sends when nobody kills it. */
  readonly count: number
  /** Kill at statement `k`, then give the command again: it ends where it would have. Throws what is wrong. */
  resume(k: number): Promise<void>
  /** Kill at statement `k`, then abort: all is as before, or it says why it has to go on. @returns which of the two */
  abort(k: number): Promise<Abortion>
}

export type Abortion = 'nothing begun' | 'undone' | 'had ended' | 'had to go on' | 'done in part'

/** A stage on a server of its own, furnished by `prepare`. */
export async function openStage(prepare: (setting: Setting) => Promise<void>): Promise<Stage> {
  const server = await privateServer()
  const url = server.superuserUrl()
  const fleet = await freshFleet({
    weights: { 'shard-a': 1, 'shard-b': 1 },
    schemas: [STAGE_SCHEMA],
    servers: { directory: url, 'shard-a': url, 'shard-b': url },
  })
  const proxy = await wireProxy(server.port)
  const home = mkdtempSync(join(tmpdir(), 'shardgate-kills-'))
  const [folder, keptFolder] = [join(home, 'work'), join(home, 'kept')]
  const [plain, proxied] = [join(folder, 'plain.json'), join(folder, 'shards.config.json')]
  cpSync(join(import.meta.dirname, 'world'), join(folder, 'migrations'), { recursive: true })
  await writeFile(
    plain,
    configuration(fleet, (own) => own),
  )
  await writeFile(proxied, configuration(fleet, proxy.url))
  const command = (config: string, { args, env }: Scene) =>
    shardgate([...args.map((arg) => arg.replaceAll('FOLDER', folder)), '--config', config], {
      SHARDGATE_OPERATOR: 'tester',
      ...env,
    })

  // In this process: a new one for each of some twenty commands would take as long as a kill.
  async function run(...args: string[]): Promise<string> {
    const printed = { out: '', err: '' }
    const terminal: Terminal = {
      out(text) {
        printed.out += text
      },
      err(text) {
        printed.err += text
      },
      colour: false,
    }
    const status = await runCommand([...args, '--config', plain], () => Promise.reject(), terminal)
    if (status !== 0) throw new Error(`${args.join(' ')}\n${printed.err}${printed.out}`)
    return printed.out
  }

  await prepare({ fleet, folder, run })
  const kept = await copyServer(server)
  cpSync(folder, keptFolder, { recursive: true })

  async function restore({ arrange = () => {} }: Scene): Promise<void> {
    await kept.restore()
    rmSync(folder, { recursive: true })
    cpSync(keptFolder, folder, { recursive: true })
    arrange(folder)
  }

  /** Run through the proxy, and die at the `killAt`-th statement. */
  async function perform(
    scene: Scene,
    killAt = Number.POSITIVE_INFINITY,
  ): Promise<{ ending: Ending; count: number }> {
    let count = 0
    const victim = command(proxied, scene)
    const rule = proxy.on(isStatement, async () => {
      if (++count < killAt) return undefined
      if (count === killAt) victim.signal('SIGKILL')
      await victim.ended
      return 'cut'
    })
    const ending = await victim.ended
    rule.off()
    await sessionsGone(url)
    return { ending, count }
  }

  const look = async (scene: Scene): Promise<string[]> => [
    ...(await stateOf(fleet, { lasting: true })),
    ...filesOf(folder, scene.varying),
  ]

  async function rehearse(scene: Scene): Promise<Play> {
    await restore(scene)
    const before = await look(scene)
    const sightBefore = await sightOf(plain, fleet.directoryUrl)
    const { ending, count } = await perform(scene)
    if (ending.status !== 0) throw new Error(`${scene.args.join(' ')} fails without a kill:\n${ending.err}`)
    const after = await look(scene)
    const sightAfter = await sightOf(plain, fleet.directoryUrl)

    async function killed(k: number): Promise<void> {
      await restore(scene)
      const { ending: end } = await perform(scene, k)
      // The last statements may be answered by the time that the process would end by itself.
      if (end.signal !== 'SIGKILL' && end.status !== 0)
        throw new Error(`It failed before statement ${k}:\n${end.err}`)
      requireSeen(await sightOf(plain, fleet.directoryUrl), sightBefore, sightAfter)
    }

    async function again(): Promise<void> {
      const { status, err } = await command(plain, scene).ended
      requireEqual('after the same command again', after, await look(scene), status === 0 ? '' : err)
      await requireSound(fleet)
    }

    return {
      count,
      async resume(k) {
        await killed(k)
        await again()
      },
      async abort(k) {
        await killed(k)
        const [open] = await unfinished(fleet)
        if (open === undefined) {
          const now = await look(scene)
          if (changesOf(before, now).length > 0) {
            if (
              scene.piecemeal &&
              changesOf(now, [...before, ...after]).every((line) => line.startsWith('+'))
            )
              return 'done in part'
            requireEqual('where nothing is unfinished', after, now)
            return 'had ended'
          }
          return 'nothing begun'
        }
        const { status, err } = await command(plain, { ...scene, args: ['operation', 'abort', open] }).ended
        if (status === 0) {
          requireEqual('after the abort', before, await look(scene))
          await requireSound(fleet)
          return 'undone'
        }
        if (status !== 3 || !/\w/.test(err))
          throw new Error(`operation abort ${open} ended with ${status}:\n${err}`)
        await again()
        return 'had to go on'
      },
    }
  }

  return {
    rehearse,
    async close() {
      await proxy.close()
      await server.remove()
      rmSync(home, { recursive: true, force: true })
    },
  }
}

const isStatement = ({ direction, type }: Message): boolean =>
  direction === 'to-server' && (type === 'Query' || type === 'Execute' || type === 'CopyDone')

function configuration(fleet: TestFleet, through: (url: string) => string): string {
  const shards = fleet.shards.map(({ key, url }) => [
    key,
    { url: through(url('app')), ownerUrl: through(url('owner')), moverUrl: through(url('mover')) },
  ])
  return JSON.stringify({
    tenancy: { column: 'tenant_id', schemas: [STAGE_SCHEMA] },
    directory: { url: through(fleet.directoryUrl) },
    router: { strategy: 'modulo', buckets: fleet.installation.buckets },
    shards: Object.fromEntries(shards),
    tokens: [
      {
        issuer: 't',
        audience: 't',
        algorithms: ['HS256'],
        secrets: ['a secret of thirty-two bytes or more'],
      },
    ],
    migrations: './migrations',
    exports: './exports',
  })
}

/** A server notices a client that is gone when it next reads or writes; until then its session holds its locks. */
async function sessionsGone(url: string): Promise<void> {
  await withPg(url, async (db) => {
    const left = async (): Promise<boolean> =>
      (await db.query(`select from pg_stat_activity where application_name like 'shardgate%'`)).rowCount !== 0
    while (await left()) await db.query('select pg_sleep(0.01)')
  })
}

async function unfinished(fleet: TestFleet): Promise<string[]> {
  const ask = `select id::text from directory.operation where state = 'running' order by id`
  return withPg(fleet.directoryUrl, async (db) => (await db.query(ask)).rows.map(({ id }) => id))
}

async function requireSound(fleet: TestFleet): Promise<void> {
  const open = await unfinished(fleet)
  if (open.length > 0) throw new Error(`Operations ${open.join()} are still unfinished.`)
  const verdict = await withClient(fleet.directoryUrl, (db) => verifyAudit(db))
  if (verdict.kind !== 'intact') throw new Error(`The audit log is ${verdict.kind}.`)
}

function requireEqual(when: string, wanted: readonly string[], found: readonly string[], said = ''): void {
  const changes = changesOf(wanted, found)
  if (changes.length === 0) return
  throw new Error([`The state ${when} is not the right one:`, ...changes.slice(0, 30), said].join('\n'))
}

// A router sees each tenant as it was, or as it will be, or as one that is not served now; nothing between.
function requireSeen(now: Sight, before: Sight, after: Sight): void {
  for (const [tenant, seen] of now) {
    if (seen === before.get(tenant) || seen === after.get(tenant)) continue
    const changes = before.get(tenant) !== after.get(tenant)
    if (changes && /^(unknown|refused: TENANT_\w+)$/.test(seen)) continue
    throw new Error(
      `A router sees ${tenant} half made: ${seen}; before ${before.get(tenant)}, after ${after.get(tenant)}`,
    )
  }
}
