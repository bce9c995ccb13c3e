/** The contract of graphql/documents/trusted.ts: which manifests are read, and what is told of those that are not. */

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSchema } from 'graphql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configFile } from '../../../src/base/config-schema.ts'
import {
  NO_TRUSTED_DOCUMENTS,
  readTrustedDocuments,
  type TrustedDocuments,
  unfitDocuments,
} from '../../../src/graphql/documents/trusted.ts'

const TEXT = 'query Q { hello }'
const OTHER = 'mutation M { change }'
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const digits = sha256(TEXT)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-manifests-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (name: string, content: unknown): void =>
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))

function read(...trusted: (string | object)[]): Promise<TrustedDocuments> {
  const { documents } = configFile.parse({
    directory: { url: 'embedded' },
    shards: { a: { url: 'embedded' } },
    tokens: [{ issuer: 'i', audience: 'a', algorithms: ['HS256'], secrets: ['s'] }],
    documents: { trusted: trusted.map((item) => (typeof item === 'string' ? { file: item } : item)) },
  })
  return readTrustedDocuments({ file: join(folder, 'shards.config.json'), documents })
}

/** What is told of `content` as a manifest. */
async function faults(content: unknown, ids = 'sha256'): Promise<string> {
  write('m.json', content)
  const error = await read({ file: 'm.json', ids }).catch((cause: Error) => cause)
  expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
  return (error as Error).message.replaceAll(folder, '.')
}

describe('a manifest', () => {
  it('of GraphQL Code Generator has ids with what they are', async () => {
    write('persisted-documents.json', { [`sha256:${digits}`]: TEXT })
    const documents = await read('persisted-documents.json')
    expect([documents.find(`sha256:${digits}`), documents.find(digits)]).toEqual([TEXT, TEXT])
    expect([documents.has(TEXT), documents.has(`${TEXT} `), documents.find(TEXT)]).toEqual([
      true,
      false,
      undefined,
    ])
    expect(documents.find(digits.toUpperCase())).toBeUndefined()
  })

  it('of Relay has the digits alone, or MD5, which is any name', async () => {
    write('relay.json', { [digits]: TEXT })
    write('md5.json', { '0f343b0931126a20f133d67c2b018a3b': OTHER })
    const documents = await read('relay.json', { file: 'md5.json', ids: 'opaque' })
    expect(documents.find(`sha256:${digits}`)).toBe(TEXT)
    expect(documents.find('0f343b0931126a20f133d67c2b018a3b')).toBe(OTHER)
    expect(documents.find('sha256:0f343b0931126a20f133d67c2b018a3b')).toBeUndefined()
  })

  it('of Apollo is a list of operations', async () => {
    const operations = [{ id: digits, name: 'Q', type: 'query', body: TEXT }]
    write('apollo.json', { format: 'apollo-persisted-query-manifest', version: 1, operations })
    expect((await read('apollo.json')).find(digits)).toBe(TEXT)
  })

  it('may be one of several, which may hold the same document', async () => {
    write('web.json', { [digits]: TEXT })
    write('phone.json', { [`sha256:${digits}`]: TEXT, [sha256(OTHER)]: OTHER })
    const { all, find } = await read('web.json', 'phone.json')
    expect([all.length, find(digits), find(sha256(OTHER))]).toEqual([3, TEXT, OTHER])
  })

  it('is not needed', async () => {
    expect((await read()).find(digits)).toBeUndefined()
    expect([NO_TRUSTED_DOCUMENTS.find('__proto__'), NO_TRUSTED_DOCUMENTS.has('')]).toEqual([undefined, false])
  })

  it('may use the names that every object has', async () => {
    write('m.json', '{"__proto__": "{ a }", "constructor": "{ b }"}')
    const { find } = await read({ file: 'm.json', ids: 'opaque' })
    expect([find('__proto__'), find('constructor'), find('toString')]).toEqual(['{ a }', '{ b }', undefined])
  })
})

describe('a manifest is refused', () => {
  it.each<[string, unknown, string]>([
    ['that is not JSON', '{', 'wanted a JSON object of id and text'],
    ['that is empty', '', 'wanted a JSON object of id and text'],
    ['that is a list', [TEXT], 'wanted a JSON object of id and text'],
    ['that is null', null, 'wanted a JSON object of id and text'],
    ['without a document', {}, 'it holds none'],
    ['of Apollo without operations', { format: 'apollo-persisted-query-manifest' }, 'wanted a JSON object'],
    [
      'of Apollo with what is none',
      { format: 'apollo-persisted-query-manifest', operations: [1] },
      'no object',
    ],
    ['with a hash that is not its text’s', { [digits]: OTHER }, 'is not the SHA-256 of the text'],
    ['with a hash in capitals', { [digits.toUpperCase()]: TEXT }, 'is not the SHA-256 of the text'],
    ['with a name in place of a hash', { Q: TEXT }, '"ids": "opaque"'],
    ['with a text that is none', { [digits]: { query: TEXT } }, 'wanted the text of a document'],
    ['with a text that is not GraphQL', { [sha256('{')]: '{' }, 'Syntax Error'],
  ])('%s', async (_, content, fault) => {
    expect(await faults(content)).toContain(fault)
  })

  it('with each of its faults, the file and the id', async () => {
    const told = await faults({ [digits]: OTHER, [sha256(OTHER)]: OTHER, wrong: TEXT, '': 1 })
    expect(told.split('\n')).toEqual([
      'The trusted documents cannot be used:',
      `  ./m.json: ${digits}: the id is not the SHA-256 of the text; where ids are any names, say "ids": "opaque"`,
      '  ./m.json: wrong: the id is not the SHA-256 of the text; where ids are any names, say "ids": "opaque"',
      '  ./m.json: : wanted the text of a document',
    ])
  })

  it('with twenty faults and how many more', async () => {
    const wrong = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`n${i}`, TEXT]))
    const told = (await faults(wrong)).split('\n')
    expect([told.length, told.at(-1)]).toEqual([22, '  and 480 more'])
  })

  it('that is not there, by its key', async () => {
    const reading = read('nowhere.json')
    await expect(reading).rejects.toThrow(
      `documents.trusted[0]: ${join(folder, 'nowhere.json')} cannot be read (ENOENT)`,
    )
  })

  it('with an id that has another text in another one', async () => {
    write('a.json', { one: TEXT })
    write('b.json', { one: OTHER })
    const trusted = ['a.json', 'b.json'].map((file) => ({ file, ids: 'opaque' }))
    await expect(read(...trusted)).rejects.toThrow('one: another text has the same id')
  })

  it('with a name that would stand for a hash of another text', async () => {
    write('a.json', { [digits]: TEXT })
    write('b.json', { [`sha256:${digits}`]: OTHER })
    await expect(read('a.json', { file: 'b.json', ids: 'opaque' })).rejects.toThrow(
      'another text has the same id',
    )
  })
})

describe('documents that do not fit', () => {
  const schema = buildSchema('type Query { hello: String } type Mutation { change: Int }')
  const limits = { documentTokens: 12, depth: 5, aliases: 5, rootFields: 5 }

  it('are told with file, id and reason, and the others are not', async () => {
    const [gone, large] = ['{ gone }', `{ ${'hello '.repeat(20)} }`]
    write('m.json', { [digits]: TEXT, [sha256(OTHER)]: OTHER, [sha256(gone)]: gone, [sha256(large)]: large })
    const told = await unfitDocuments(await read('m.json'), schema, limits)
    expect(told.map((sentence) => sentence.replace(folder, '.'))).toEqual([
      `./m.json: ${sha256(gone)}: Cannot query field "gone" on type "Query".`,
      `./m.json: ${sha256(large)}: The document asks for 13 or more lexical tokens; 12 are allowed.`,
    ])
  })
})
