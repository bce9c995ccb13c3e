/** The files of GraphiQL: whole, named by content, written once, mended when broken. */

import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureGraphiqlAssets } from '../../src/http/graphiql-assets.ts'

let parent: string
let out: string
const said: string[] = []

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'shardgate-graphiql-'))
  out = join(parent, 'deep', 'graphiql')
  await ensureGraphiqlAssets(out, (line) => said.push(line))
})
afterAll(() => rm(parent, { recursive: true, force: true }))

const countingWrites = async (): Promise<number> => {
  let writes = 0
  await ensureGraphiqlAssets(out, () => writes++)
  return writes
}

async function change(manifest: object): Promise<void> {
  const path = join(out, 'manifest.json')
  const before = JSON.parse(await readFile(path, 'utf8')) as object
  await writeFile(path, JSON.stringify({ ...before, ...manifest }))
}

describe('ensureGraphiqlAssets', () => {
  it('writes each part with both compressed forms, equal to the text', async () => {
    const { names } = await ensureGraphiqlAssets(out)
    for (const name of Object.values(names)) {
      const text = await readFile(join(out, name))
      expect(text.length).toBeGreaterThan(500)
      expect(brotliDecompressSync(await readFile(join(out, `${name}.br`))).equals(text), name).toBe(true)
      expect(gunzipSync(await readFile(join(out, `${name}.gz`))).equals(text), name).toBe(true)
    }
  })

  it('says in one line that it writes, and leaves nothing beside the folder', async () => {
    expect(said).toEqual([`Writing the files of GraphiQL to ${out}`])
    expect(await readdir(join(parent, 'deep'))).toEqual(['graphiql'])
  })

  it('writes nothing when the folder is whole', async () => {
    const before = await stat(join(out, 'manifest.json'))
    expect(await countingWrites()).toBe(0)
    expect((await stat(join(out, 'manifest.json'))).mtimeMs).toBe(before.mtimeMs)
  })

  it.each([
    ['a file is missing', (name: string) => rm(join(out, `${name}.br`))],
    ['a file is cut short', async (name: string) => writeFile(join(out, name), 'half')],
    [
      'a file has its size but not its bytes',
      async (name: string) => writeFile(join(out, name), Buffer.alloc((await stat(join(out, name))).size)),
    ],
    ['the manifest is missing', () => rm(join(out, 'manifest.json'))],
    ['the manifest is half written', () => writeFile(join(out, 'manifest.json'), '{"package": "5')],
    ['it comes from another version', () => change({ package: '0.0.1' })],
    ['its parts have other names', () => change({ names: { css: 'a.css' } })],
  ])('writes the folder anew when %s', async (_, damage) => {
    const { names } = await ensureGraphiqlAssets(out)
    await damage(names.style)
    expect(await countingWrites()).toBe(1)
    expect(await countingWrites()).toBe(0)
  })

  it('lets two processes begin at once: both get a whole folder', async () => {
    await rm(out, { recursive: true })
    const [one, two] = await Promise.all([ensureGraphiqlAssets(out), ensureGraphiqlAssets(out)])
    expect(one).toEqual(two)
    expect(await countingWrites()).toBe(0)
  })

  it('names the folder that cannot be written', async () => {
    const file = join(parent, 'a-file')
    await writeFile(file, '')
    await mkdir(join(parent, 'deep'), { recursive: true })
    const refused = ensureGraphiqlAssets(join(file, 'graphiql'))
    await expect(refused).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringContaining(join(file, 'graphiql')),
    })
  })
})
