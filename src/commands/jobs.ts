/** `shardgate jobs`: work for tenants that runs later; look at it, ask for it, have it run again, run it here. */

import { dirname } from 'node:path'
import { type Command, Option } from 'commander'
import { type Config, loadConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { jobDataText, ruleNamed } from '../base/job-rules.ts'
import {
  cancelJob,
  findJob,
  JOB_STATES,
  type JobQuestion,
  type JobRecord,
  type JobState,
  listJobs,
  retryJob,
} from '../control/jobs/operate.ts'
import { type JobQueue, openQueue } from '../control/jobs/queue.ts'
import { onDirectory } from '../control/reach.ts'
import { findTenants } from '../directory/tenants.ts'
import { loadExtensions } from '../graphql/extension.ts'
import { jobsOfExtensions } from '../graphql/jobs/rules.ts'
import { newJobId } from '../shards/job-rows.ts'
import { configOf, type MakeContext } from './context.ts'
import { fillEmbedded, readEmbedded } from './embedded.ts'
import { seconds, wholeNumber } from './parse.ts'
import { record, table } from './print.ts'
import type { RunGateway } from './serve.ts'

interface ListOptions {
  readonly tenant?: string
  readonly job?: string
  readonly state?: JobState
  readonly limit: number
}

export function addJobsCommands(program: Command, contextOf: MakeContext, run: RunGateway): void {
  const jobs = program
    .command('jobs')
    .description('Jobs of tenants, which extensions define: list them, ask for one, run them here.')

  listing(jobs.command('list'), contextOf)
    .description('List jobs, the latest first.')
    .addOption(new Option('--state <state>', 'in this state').choices(Object.keys(JOB_STATES)))
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate jobs list --tenant acme\n  shardgate jobs list --state again -o json',
    )
  listing(jobs.command('dead'), contextOf, 'dead')
    .description('List jobs that failed for good, with the reason of each.')
    .addHelpText('after', '\nExample:\n  shardgate jobs dead --job sendDigest')

  for (const [verb, work, description] of VERBS) {
    jobs
      .command(verb)
      .argument('<id>', 'of a job, as "jobs list" shows it')
      .description(description)
      .addHelpText('after', `\nExample:\n  shardgate jobs ${verb} 3f1c9a52-6b0e-4d0a-9c1f-8a1b2c3d4e5f`)
      .action(async (id: string, _options: object, command: Command) => {
        const context = contextOf(command)
        context.print(await onQueue(configOf(context), (queue) => work(queue, id)), recordText)
      })
  }
  addRunCommand(jobs, contextOf)
  addWorkCommand(jobs, contextOf, run)
}

const VERBS = [
  ['show', findJob, 'Show one job: what it was given, how often it ran, and why it failed.'],
  ['retry', retryJob, 'Have a dead job run once more.'],
  ['cancel', cancelJob, 'Call a job off that has not ended; a run that is under way still ends.'],
] as const

function listing(command: Command, contextOf: MakeContext, only?: JobState): Command {
  return command
    .option('--tenant <id>', 'of one tenant alone')
    .option('--job <name>', 'of one kind alone')
    .addOption(new Option('--limit <number>', 'at most').default(100).argParser(wholeNumber(1, 10_000)))
    .action(async ({ tenant, job, state = only, limit }: ListOptions, self: Command) => {
      const context = contextOf(self)
      const question: JobQuestion = {
        limit,
        ...(tenant !== undefined && { tenant: tenantId(tenant) }),
        ...(job !== undefined && { job }),
        ...(state !== undefined && { state }),
      }
      context.print(await onQueue(configOf(context), (queue) => listJobs(queue, question)), listText)
    })
}

interface RunOptions {
  readonly tenant: string
  readonly data: string
  readonly delay?: number
}

function addRunCommand(jobs: Command, contextOf: MakeContext): void {
  jobs
    .command('run')
    .argument('<job>', 'its name, as an extension defines it')
    .description('Have a job run for a tenant, by whichever process runs jobs.')
    .requiredOption('--tenant <id>', 'whose job it is')
    .option('--data <json>', 'what it is given', '{}')
    .addOption(
      new Option('--delay <duration>', 'not before this has passed: 90s, 15m, 8h').argParser(seconds),
    )
    .addHelpText('after', `\nExample:\n  shardgate jobs run sendDigest --tenant acme --data '{"week":7}'`)
    .action(async (name: string, { tenant, data, delay }: RunOptions, command: Command) => {
      const context = contextOf(command)
      const config = configOf(context)
      const { rules } = jobsOfExtensions(await loadExtensions(config.extensions, dirname(config.file)))
      const id = tenantId(tenant)
      const job = {
        id: newJobId(),
        name,
        tenant: id,
        data: dataOf(name, data),
        notBefore: delay === undefined ? null : Date.now() + delay * 1_000,
        rule: ruleNamed(rules, name),
      }
      const known = await onDirectory(config.directory.url, (directory) => findTenants(directory, [id]))
      if (!known.has(id)) fail('TENANT_UNKNOWN', `There is no tenant ${id}.`)
      const sent = await onQueue(config, async (queue) => {
        await queue.send([job])
        return findJob(queue, job.id)
      })
      context.print(sent, recordText)
    })
}

function addWorkCommand(jobs: Command, contextOf: MakeContext, run: RunGateway): void {
  jobs
    .command('work')
    .description('Run jobs in this process, without serving requests, until SIGTERM.')
    .addOption(new Option('--workers <number>', 'jobs at once').default(4).argParser(wholeNumber(1, 64)))
    .addHelpText('after', '\nExample:\n  NODE_ENV=production shardgate jobs work --workers 8')
    .action(async ({ workers }: { workers: number }, command: Command) => {
      const context = contextOf(command)
      configOf(context)
      const load = (file: string): Config => {
        const config = loadConfig(file)
        const filled = fillEmbedded(config, readEmbedded(config.dataDir))
        return { ...filled, jobs: { ...filled.jobs, workers } }
      }
      const gateway = await run({ config: load(context.options.config), load, only: 'jobs' })
      await gateway.stopped
    })
}

function dataOf(job: string, text: string): object {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    fail('USAGE', `--data wants JSON; ${JSON.stringify(text.slice(0, 60))} came.`)
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    fail('USAGE', '--data wants an object.')
  jobDataText(job, data)
  return data
}

async function onQueue<T>({ directory, jobs }: Config, work: (queue: JobQueue) => Promise<T>): Promise<T> {
  const { url } = directory
  const queue = await openQueue({ url, keeps: false, keepDays: jobs.keepDays, emit: () => {} })
  try {
    return await work(queue)
  } finally {
    await queue.end()
  }
}

function listText(found: readonly JobRecord[], colour: boolean): string {
  if (found.length === 0) return 'There are no such jobs.\n'
  return table(
    found,
    [
      { title: 'id', cell: ({ id }) => id },
      { title: 'job', cell: ({ job }) => job },
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'state', cell: ({ state }) => state },
      { title: 'attempts', cell: ({ attempts, attemptsMax }) => `${attempts}/${attemptsMax}` },
      { title: 'asked at', cell: ({ askedAt }) => askedAt },
      { title: 'reason', cell: ({ reason }) => reason?.split('\n')[0]?.slice(0, 80) },
    ],
    colour,
  )
}

function recordText({ data, attempts, attemptsMax, ...rest }: JobRecord, colour: boolean): string {
  return record({ ...rest, attempts: `${attempts}/${attemptsMax}`, data: JSON.stringify(data) }, colour)
}
