/**
 * The files of GraphiQL: taken out of a package once, kept in a folder, named by their content.
 *
 * The package `@graphql-yoga/render-graphiql` holds GraphiQL as strings of 9 MB. Its own renderer
 * puts all of them into every page, and Yoga's default page loads them from a public CDN, which
 * leaves an empty page behind a closed network. Here they become files with Brotli and gzip forms
 * beside them, which a browser keeps for a year.
 *
 * The folder is written under another name and renamed when it is whole. `manifest.json` holds the
 * size and digest of each file, and each start reads them again (30 ms for 14 MB): a folder that a
 * full disk or a killed process left half written is made anew.
 */

import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { fail } from '../base/errors.ts'

const PACKAGE = '@graphql-yoga/render-graphiql'

/** What the page loads, by the part it plays, and how the file's name ends. */
const ENDINGS = Object.freeze({
  style: 'css',
  script: 'js',
  editorWorker: 'worker.js',
  jsonWorker: 'worker.js',
  graphqlWorker: 'worker.js',
  browserStyle: 'css',
  browserScript: 'js',
})

type Part = keyof typeof ENDINGS
const PARTS = Object.keys(ENDINGS) as Part[]

/** Encodings and how the name of a compressed form ends. */
export const FORMS = Object.freeze({ br: '.br', gzip: '.gz' })

export interface GraphiqlAssets {
  /** Absolute path. */
  readonly folder: string
  /** File name of each part, `<content hash>.<ending>`; each also exists with each ending of FORMS. */
  readonly names: Readonly<Record<Part, string>>
}

interface Manifest {
  /** What the files were made from: version of the package, digest of our own browser files. */
  readonly package: string
  readonly own: string
  readonly names: Readonly<Record<Part, string>>
  /** SHA-256 of each file in the folder. */
  readonly digests: Readonly<Record<string, string>>
}

/**
 * Make sure that the files of GraphiQL are in the folder `out`, whole and up to date.
 *
 * A first call takes about a second, every later one some 30 ms. Without the package (an installed
 * Shardgate does not bring it) the folder that was shipped is used as it is.
 *
 * @param out     default `dist/graphiql` of this package
 * @param report  told in one line when files must be written
 * @throws SETUP_FAILED  the folder cannot be written, or it is not there and neither is the package
 */
export async function ensureGraphiqlAssets(
  out: string = defaultFolder(),
  report: (line: string) => void = () => {},
): Promise<GraphiqlAssets> {
  const folder = resolve(out)
  const own = await readBrowserFiles()
  const wanted = { package: await packageVersion(), own: sha256(own.browserStyle + own.browserScript) }
  const found = await readFolder(folder, wanted)
  if (found) return found
  if (!wanted.package) {
    fail(
      'SETUP_FAILED',
      `GraphiQL is not in ${folder}. Run "npm install" in a clone, which brings ${PACKAGE}.`,
    )
  }
  report(`Writing the files of GraphiQL to ${folder}`)
  return writeFolder(folder, { ...(await readPackage()), ...own }, { ...wanted, package: wanted.package })
}

type PartTexts = Readonly<Record<Part, string>>
type BrowserTexts = Pick<PartTexts, 'browserStyle' | 'browserScript'>
type Origin = Pick<Manifest, 'package' | 'own'>

function defaultFolder(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return join(folder, 'dist', 'graphiql')
}

async function readBrowserFiles(): Promise<BrowserTexts> {
  const read = (name: string): Promise<string> => readFile(join(import.meta.dirname, name), 'utf8')
  const [browserStyle, browserScript] = await Promise.all([
    read('graphiql-browser.css'),
    read('graphiql-browser.js'),
  ])
  return { browserStyle, browserScript }
}

/** Version of the package, without loading its 9 MB; undefined when it is not installed. */
async function packageVersion(): Promise<string | undefined> {
  try {
    const path = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`)
    return (JSON.parse(await readFile(path, 'utf8')) as { version: string }).version
  } catch {
    return undefined
  }
}

async function readPackage(): Promise<Omit<PartTexts, keyof BrowserTexts>> {
  const { css, js, editorWorkerService, jsonWorker, graphqlWorker } = await import(
    '@graphql-yoga/render-graphiql/graphiql'
  )
  return { style: css, script: js, editorWorker: editorWorkerService, jsonWorker, graphqlWorker }
}

/** Null when the folder is missing, half written, or made from something else. */
async function readFolder(
  folder: string,
  wanted: { package: string | undefined; own: string },
): Promise<GraphiqlAssets | null> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest
    if (manifest.own !== wanted.own) return null
    if (wanted.package && manifest.package !== wanted.package) return null
    const files = PARTS.flatMap((part) => formsOf(manifest.names[part]))
    const whole = files.map(
      async (name) => sha256(await readFile(join(folder, name))) === manifest.digests[name],
    )
    return (await Promise.all(whole)).every(Boolean) ? { folder, names: manifest.names } : null
  } catch {
    return null // Whatever is wrong with the folder, writing it anew is the way out.
  }
}

const formsOf = (name: string): string[] => [name, ...Object.values(FORMS).map((ending) => name + ending)]

async function writeFolder(folder: string, texts: PartTexts, origin: Origin): Promise<GraphiqlAssets> {
  const trial = `${folder}.${randomUUID()}` // beside the folder: a rename does not cross file systems
  try {
    await mkdir(trial, { recursive: true })
    const names = await writeFiles(trial, texts, origin)
    await swapIn(trial, folder)
    return { folder, names }
  } catch (cause) {
    // Two processes may start at once: whoever comes second finds a whole folder, which will do.
    const other = await readFolder(folder, origin)
    if (other) return other
    const reason = `GraphiQL cannot be written to ${folder}: ${(cause as Error).message}.`
    return fail('SETUP_FAILED', `${reason} Make the folder writable.`, {}, { cause })
  } finally {
    await Promise.allSettled(
      [trial, staleOf(trial)].map((path) => rm(path, { recursive: true, force: true })),
    )
  }
}

// A rename onto a folder that holds something fails, so what is there steps aside first.
async function swapIn(trial: string, folder: string): Promise<void> {
  if (existsSync(folder)) await rename(folder, staleOf(trial))
  await rename(trial, folder)
}

const staleOf = (trial: string): string => `${trial}.stale`

async function writeFiles(folder: string, texts: PartTexts, origin: Origin): Promise<Manifest['names']> {
  const digests: Record<string, string> = {}
  const write = async (name: string, body: Uint8Array): Promise<void> => {
    digests[name] = sha256(body)
    await writeFile(join(folder, name), body)
  }
  const entries = await Promise.all(
    PARTS.map(async (part) => {
      const text = Buffer.from(texts[part])
      const name = `${sha256(text).slice(0, 20)}.${ENDINGS[part]}`
      await write(name, text)
      await write(name + FORMS.br, await compressBrotli(text))
      await write(name + FORMS.gzip, await promisify(gzip)(text))
      return [part, name] as const
    }),
  )
  const manifest: Manifest = { ...origin, names: Object.fromEntries(entries) as Manifest['names'], digests }
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest, null, 2))
  return manifest.names
}

// Quality 5 takes 0.2 s for all parts and leaves 2.1 MB of 8.8; quality 11 takes half a minute and leaves 1.8.
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }
const compressBrotli = (text: Buffer): Promise<Buffer> => promisify(brotliCompress)(text, BROTLI)

function sha256(body: string | Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}
