/** Optional programs: found on the path, or missed with one line and no error. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { onPath, optionalProgram } from './optional.ts'

const folder = mkdtempSync(join(tmpdir(), 'shardgate-path-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('an optional program', () => {
  it('is found under the first name that the path holds as a program', () => {
    writeFileSync(join(folder, 'second'), '')
    writeFileSync(join(folder, 'first'), '')
    expect(onPath(['first', 'second'], `/nowhere:${folder}`)).toBeUndefined()

    chmodSync(join(folder, 'second'), 0o755)
    expect(onPath(['first', 'second'], `/nowhere:${folder}`)).toBe(join(folder, 'second'))
  })

  it('that is not to be had is missed with one line', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})

    expect(await optionalProgram({ names: ['no-such-program'], packages: [] })).toBeUndefined()
    expect(warn.mock.calls).toEqual([['Skipped: these tests need no-such-program on the path.']])
  })
})
