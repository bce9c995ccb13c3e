/** `docker-compose.yml` and what it refers to, read as Compose would read them, and a Dockerfile as its stages. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

const TOP = join(import.meta.dirname, '../..')

export const read = (path: string): string => readFileSync(join(TOP, path), 'utf8')

export interface Service {
  readonly image: string
  readonly build?: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly profiles?: readonly string[]
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean }
  readonly stop_grace_period?: string
  readonly read_only?: boolean
  readonly user?: string
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}

/** @param env  what `.env` would hold; without it variables stay as they are written */
export function composeFile(env?: Readonly<Record<string, string>>): Compose {
  const text = read('docker-compose.yml')
  return parse(env ? interpolated(text, env) : text, { merge: true })
}

const VARIABLE = /\$\{([A-Z_]+)(?::([-?])([^}]*))?\}/g

/** Name → whether the file has a default for it; a variable counts once. */
export function variablesOf(text: string): ReadonlyMap<string, boolean> {
  const found = new Map<string, boolean>()
  for (const [, name = '', sign] of text.matchAll(VARIABLE)) {
    found.set(name, found.get(name) || sign === '-')
  }
  return found
}

function interpolated(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(
    VARIABLE,
    (whole, name: string, sign: string | undefined, rest: string | undefined) => {
      const value = env[name] || (sign === '-' ? rest : undefined)
      if (value === undefined) throw new Error(`${whole}: not set`)
      return value
    },
  )
}

/** Names in `examples/compose/env.example` → the value given there. */
export function exampleEnvironment(): ReadonlyMap<string, string> {
  const lines = read('examples/compose/env.example').split('\n')
  const entries = lines.flatMap((line) => [...line.matchAll(/^([A-Z_]+)=(.*)$/g)])
  return new Map(entries.map(([, name = '', value = '']) => [name, value]))
}

export interface Instruction {
  readonly verb: string
  readonly text: string
}

/** The instructions of each stage, in order; the first of each is FROM. */
export function dockerStages(): readonly (readonly Instruction[])[] {
  const lines = read('Dockerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const stages: Instruction[][] = []
  for (const line of lines) {
    const [, verb = '', text = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (verb === 'FROM') stages.push([])
    stages.at(-1)?.push({ verb, text })
  }
  return stages
}
