/**
 * docs/configuration.md, printed from the schema of `shards.config.json`.
 *
 * When a change takes effect is not written down anywhere to be copied: each key is changed in a made-up
 * configuration, and the hot reload is asked what it would do with it.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../src/base/config.ts'
import { configJsonSchema } from '../../src/base/config-schema.ts'
import { diffConfig } from '../../src/base/config-watch.ts'
import { table } from './markdown.ts'

/** The part of a JSON Schema that is read here. */
interface Schema {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly additionalProperties?: Schema | false
}

interface Key {
  readonly path: string
  readonly schema: Schema
  readonly required: boolean
}

export interface Variable {
  readonly name: string
  readonly fallback: string
  readonly meaning: string
}

/** What the gateway and every command read from the environment, beside what the file names. */
export const VARIABLES: readonly Variable[] = [
  {
    name: 'NODE_ENV',
    fallback: 'development',
    meaning: '`production` turns on the production defaults; any other value is development.',
  },
  { name: 'PORT', fallback: '4000', meaning: 'Port of the API, 0 to 65535; 0 takes any free one.' },
  {
    name: 'HOST',
    fallback: '127.0.0.1',
    meaning: 'Address that the API listens on; `0.0.0.0` for all of IPv4.',
  },
  { name: 'ADMIN_PORT', fallback: '4001', meaning: 'Port of health and metrics. Keep it private.' },
  { name: 'ADMIN_HOST', fallback: '127.0.0.1', meaning: 'Address that the admin port listens on.' },
  {
    name: 'LOG_LEVEL',
    fallback: 'warn',
    meaning: 'One of `fatal`, `error`, `warn`, `info`, `debug`; in production the default is `info`.',
  },
  {
    name: 'REDIS_URL',
    fallback: '',
    meaning: 'Redis or Valkey that the gateways share, where `redis.url` is left out of the file.',
  },
  {
    name: 'SHARDGATE_DATA',
    fallback: '.shardgate',
    meaning: 'Folder for what `start` keeps: embedded databases, development secrets.',
  },
  {
    name: 'SHARDGATE_OPERATOR',
    fallback: '',
    meaning: 'Who gives a command, for the audit log; without it the name of the account.',
  },
]

/** What the command line alone reads. */
export const COMMAND_VARIABLES: readonly Variable[] = [
  { name: 'SHARDGATE_ADMIN_USER', fallback: '', meaning: 'The same as `setup --admin-user`.' },
  { name: 'SHARDGATE_ADMIN_PASSWORD', fallback: '', meaning: 'The same as `setup --admin-password`.' },
  { name: 'NO_COLOR', fallback: '', meaning: 'Any value: no colours in tables.' },
]

export function configurationPage(): string {
  return `# Configuration

<!-- Printed from src/base/config-schema.ts by "npm run docs"; do not edit. -->

One file, \`shards.config.json\`, and a few environment variables, both read by the gateway and by every
command. \`shardgate config check\` reads them, connects to nothing and says every fault: its key, what was
wanted and what came. With \`"$schema": "./docs/shards.config.schema.json"\` an editor completes and checks
the file while it is written.

- **Variables**: a text may hold \`\${NAME}\` or \`\${NAME:-default}\`. That is how secrets get in; they are
  never written into the file. A variable without a default that is not set is a fault. An empty one counts
  as not set.
- **\`embedded\`** in place of a database URL or a token secret leaves it to \`shardgate start\`, which makes
  and keeps it in its data folder. The other commands use what \`start\` has made there, and say so where it
  has made nothing. With \`NODE_ENV=production\` it is a fault.
- **Unknown keys** are faults, so that a slip of the pen is not a default.
- **In a URL** the characters \`/\`, \`@\`, \`:\` and \`#\` of a password are written \`%2F\`, \`%40\`, \`%3A\`, \`%23\`.

## When a change takes effect

The running gateway looks at the file: when the folder changes, and every two seconds. Keys marked *at once*
are taken over without a restart. Those marked *by \`apply\`* are wishes of the operator: \`shardgate plan\` compares
them with the directory ([rebalancing](rebalancing.md)). The others keep their value until the next start, and the log
names them.
A file with any fault in it changes nothing at all, and the log says why. **An edit never re-routes anybody**:
where a tenant is stands in the directory, not here.

${sections()}
## Environment

${table(['variable', 'default', 'meaning'], VARIABLES.map(variableRow))}

The command line also reads:

${table(['variable', 'default', 'meaning'], COMMAND_VARIABLES.map(variableRow))}

The \`shards.config.json\` of this repository names these; with none of them set it is the configuration of
\`npm start\`:

${table(['variable', 'where', 'default'], fileVariables())}
`
}

const variableRow = ({ name, fallback, meaning }: Variable): string[] => [
  `\`${name}\``,
  fallback && `\`${fallback}\``,
  meaning,
]

function sections(): string {
  const { properties = {}, required = [] } = configJsonSchema() as Schema
  return Object.entries(properties)
    .filter(([name]) => name !== '$schema')
    .map(([name, schema]) => section({ path: name, schema, required: required.includes(name) }))
    .join('\n')
}

const TITLES: Readonly<Record<string, string>> = {
  tenancy: 'which tables belong to tenants',
  directory: 'where it is kept which tenant is where',
  router: 'how a new tenant finds its shard',
  shards: 'the Postgres servers that hold tenants',
  tokens: 'who may issue tokens',
  limits: 'what one request may ask',
  http: 'the public port',
  documents: 'documents that are known by a hash or an id',
  redis: 'what gateways share',
  jobs: 'who runs jobs of extensions',
  usage: 'what tenants use',
  cache: 'answers that are kept',
  pins: 'tenants that are to be in a place of their own',
  extensions: 'fields added in code',
}

function section(top: Key): string {
  const rows = leavesOf(top).map((key) => [
    `\`${key.path}\``,
    meaningOf(key.schema),
    defaultOf(key),
    valuesOf(key),
    takesEffect(key.path),
  ])
  const head = ['key', 'meaning', 'default', 'values', 'takes effect']
  return `## \`${top.path}\`: ${TITLES[top.path] ?? ''}\n\n${table(head, rows)}\n`
}

/** Every key below `key` that has no keys of its own; `<name>` stands for a key that the user chooses. */
function leavesOf({ path, schema, required }: Key): Key[] {
  const inner = schema.items?.properties ? schema.items : schema.additionalProperties || schema
  const at = inner === schema ? path : schema.items ? `${path}[]` : `${path}.<name>`
  if (!inner.properties) return [{ path, schema, required }]
  return Object.entries(inner.properties).flatMap(([name, child]) =>
    leavesOf({ path: `${at}.${name}`, schema: child, required: inner.required?.includes(name) ?? false }),
  )
}

function meaningOf({ description = '', items }: Schema): string {
  const choices = items?.enum?.map((value) => `\`${value}\``).join(', ')
  return choices ? `${description || 'Any of'} ${choices}.`.replace('..', '.') : description
}

function defaultOf({ schema, required }: Key): string {
  if (schema.default !== undefined) return `\`${JSON.stringify(schema.default)}\``
  return required ? '**required**' : 'none'
}

const UNITS: readonly (readonly [ending: RegExp, unit: string])[] = [
  [/Ms$/, ' ms'],
  [/S$/, ' s'],
  [/Bytes$/, ' bytes'],
]

function valuesOf({ path, schema }: Key): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.type === 'array') return 'list'
  if (schema.type === 'boolean') return '`true`, `false`'
  if (schema.minimum === undefined) return 'text'
  const unit = UNITS.find(([ending]) => ending.test(path))?.[1] ?? ''
  const bounded = (schema.maximum ?? Number.MAX_SAFE_INTEGER) < Number.MAX_SAFE_INTEGER
  return bounded ? `${schema.minimum} to ${schema.maximum}${unit}` : `from ${schema.minimum}${unit}`
}

/** Ask the hot reload what it would do if this key alone were different. */
function takesEffect(path: string): string {
  const [before, after] = [configWith(path, 'old'), configWith(path, 'new')]
  const { changed, needsRestart, planned } = diffConfig(before, after)
  if (changed.length + needsRestart.length + planned.length !== 1) {
    throw new Error(`${path}: no single difference`)
  }
  return changed.length === 1 ? 'at once' : planned.length === 1 ? 'by `apply`' : 'next start'
}

function configWith(path: string, value: string): Config {
  const isList = path.includes('[]')
  const keys = path
    .replace('<name>', 'shard-a')
    .replace(/\[\].*$/, '')
    .split('.')
  const leaf: unknown = isList ? [{ [path]: value }] : value
  return keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), leaf) as Config
}

/** `${NAME:-default}` of the repository's own configuration: name, key, default. */
export function fileVariables(): string[][] {
  const text = readFileSync(join(import.meta.dirname, '../../shards.config.json'), 'utf8')
  const rows: string[][] = []
  const walk = (value: unknown, at: string): void => {
    if (typeof value === 'string') {
      for (const [, name = '', fallback = ''] of value.matchAll(/\$\{(\w+)(?::-([^}]*))?\}/g)) {
        rows.push([`\`${name}\``, `\`${at}\``, fallback && `\`${fallback}\``])
      }
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) {
        walk(item, Array.isArray(value) ? `${at}[${key}]` : at ? `${at}.${key}` : key)
      }
    }
  }
  walk(JSON.parse(text), '')
  return rows
}
