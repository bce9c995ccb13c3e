/**
 * The rules of the house that a machine can check, as functions over a map of files, so that the
 * rules themselves can be tested on files that break them.
 */

import { dirname, join, normalize } from 'node:path/posix'

/** Path from the top of the repository → text. */
export type Files = ReadonlyMap<string, string>

// Bottom floor first. A file imports from its own folder or from a lower floor; folders that share a
// floor are strangers to each other.
const FLOORS: readonly (readonly string[])[] = [
  ['base'],
  ['db'],
  ['directory', 'model'],
  ['tenant', 'shards'],
  ['graphql', 'control'],
  ['http', 'commands'],
  [''], // what starts, and what a gateway is made of
]

/** Files that nobody imports because they are where something starts. */
const ENTRIES: readonly string[] = ['src/main.ts', 'src/cli.ts']

const LINES_MAX = 300
const VAGUE = /\/index\.ts$|\/(lib|utils?|common|helpers?)(\/|\.ts$)/

// Places of the machines that this is written on. In pieces, or this file would break its own rule.
const FOREIGN = [
  ['/wo', 'rk/main'],
  ['/wo', 'rk/shared'],
  ['/tmp/', 'plan'],
  ['../', 'shared/'],
].map((pieces) => pieces.join(''))

/** Which modules may be imported only where. A name stands for the package and all of its scope. */
const RESERVED: readonly { modules: RegExp; folders: readonly string[] }[] = [
  { modules: /^(pg|ioredis)(\/|$)/, folders: ['db'] },
  {
    modules: /^(@pothos\/|graphql-yoga|@graphql-yoga\/|graphql-shield|graphql-middleware)/,
    folders: ['graphql', 'http'],
  },
]

/** What is wrong with `file`, a sentence each. */
type Rule = (file: string, text: string, files: Files) => string[]

/** Every fault of every file, as 'path: what is wrong'. */
export function untidiness(files: Files): string[] {
  return [...files].flatMap(([file, text]) =>
    RULES.flatMap((check) => check(file, text, files).map((fault) => `${file}: ${fault}`)),
  )
}

const isSource = (file: string): boolean => file.startsWith('src/') && file.endsWith('.ts')
const folderOf = (file: string): string => file.split('/').slice(1, -1)[0] ?? ''
const floorOf = (file: string): number => FLOORS.findIndex((folders) => folders.includes(folderOf(file)))

/** Only the two processes stand at the top, and the parts of a gateway. */
const isStray = (file: string): boolean =>
  folderOf(file) === '' && !ENTRIES.includes(file) && file !== 'src/parts.ts'

const IMPORT = /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]/gm
const CALLED = /\b(?:import|require|require\.resolve|new URL)\s*\(\s*['"]([^'"]+)['"]/g

/** Modules that `text` names: static imports, re-exports, dynamic imports, `require`, worker URLs. */
export function modulesOf(text: string): string[] {
  const code = codeOf(text)
  const found = [...code.matchAll(IMPORT), ...code.matchAll(CALLED)]
  return found.flatMap(([, first, second]) => first ?? second ?? [])
}

// Only comments that open a line: elsewhere the same signs are more often part of a glob or a URL.
function codeOf(text: string): string {
  return text.replaceAll(/^\s*\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
}

function importsOf(file: string, files: Files): string[] {
  const own = modulesOf(files.get(file) ?? '').filter((module) => module.startsWith('.'))
  return own.map((module) => normalize(join(dirname(file), module))).filter((path) => path.startsWith('src/'))
}

function circleThrough(file: string, files: Files): string[] {
  const reached = new Set<string>()
  const visit = (other: string): void => {
    if (reached.has(other)) return
    reached.add(other)
    importsOf(other, files).forEach(visit)
  }
  importsOf(file, files).forEach(visit)
  return reached.has(file) ? ['imports itself in a circle'] : []
}

function upwardImports(file: string, files: Files): string[] {
  return importsOf(file, files)
    .filter((other) => other.endsWith('.ts'))
    .filter((other) => folderOf(other) !== folderOf(file) && floorOf(other) >= floorOf(file))
    .map((other) => `imports ${other}, which is not on a lower floor`)
}

function orphaned(file: string, files: Files): string[] {
  if (ENTRIES.includes(file)) return []
  const wanted = [...files.keys()].some(
    (other) => other !== file && other.startsWith('src/') && importsOf(other, files).includes(file),
  )
  return wanted ? [] : ['nobody imports it']
}

function reservedImports(file: string, text: string): string[] {
  return modulesOf(text).flatMap((module) =>
    RESERVED.filter(({ modules, folders }) => modules.test(module) && !folders.includes(folderOf(file))).map(
      ({ folders }) => `imports ${module}, which only ${folders.join(' and ')} may`,
    ),
  )
}

const when = (wrong: boolean, fault: string): string[] => (wrong ? [fault] : [])
const inSource =
  (rule: Rule): Rule =>
  (file, text, files) =>
    isSource(file) ? rule(file, text, files) : []

const RULES: readonly Rule[] = [
  inSource((file) => when(floorOf(file) < 0 || isStray(file), 'stands on no floor')),
  inSource((file, _, files) => upwardImports(file, files)),
  inSource((file, _, files) => circleThrough(file, files)),
  inSource((file, _, files) => orphaned(file, files)),
  inSource(reservedImports),
  inSource((_, text) => when(text.trimEnd().split('\n').length > LINES_MAX, `has over ${LINES_MAX} lines`)),
  inSource((file) => when(VAGUE.test(file), 'has a name that says nothing')),
  inSource((file, text) =>
    when(/\bprocess\.env\b/.test(codeOf(text)) && file !== 'src/base/config.ts', 'reads process.env'),
  ),
  inSource((file, text) =>
    when(/\bprocess\.exit\b/.test(codeOf(text)) && !ENTRIES.includes(file), 'ends the process'),
  ),
  // D8: a pooled callback runs in the context of the request that opened the connection. The tenant is
  // an argument; nothing in the source may look it up.
  inSource((_, text) => when(/\bAsyncLocalStorage\b/.test(codeOf(text)), 'uses AsyncLocalStorage')),
  (file, text) => when(!opensWithHeader(file, text), 'does not open with what it is for'),
  (_, text) =>
    FOREIGN.filter((word) => text.includes(word)).map((word) => `speaks of "${word}", which is none of ours`),
]

function opensWithHeader(file: string, text: string): boolean {
  if (file.endsWith('.ts')) return /^(#!.*\n)?\/\*\*\s+(\* )?[^\s*]/.test(text)
  return !file.endsWith('.sql') || /^-- \S/.test(text)
}
