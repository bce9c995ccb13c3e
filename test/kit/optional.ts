/**
 * Programs that some suites need and npm cannot bring: taken from the path, on Debian as root
 * installed, elsewhere missed with one line, and the suite counted as skipped.
 *
 *     const browser = await chromium()
 *     describe.skipIf(!browser)('in a browser', () => …)
 */

import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

interface Wanted {
  /** What it is called on one system or another, the first found is taken. */
  readonly names: readonly string[]
  /** Debian packages that bring one of the names. */
  readonly packages: readonly string[]
}

/** Path of a Chromium, or undefined when there is none and none can be had. */
export function chromium(): Promise<string | undefined> {
  return optionalProgram({
    names: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    packages: ['chromium', 'fonts-dejavu-core'], // Without a font every text in a picture is a row of boxes.
  })
}

/** Path of one of `names`; undefined after one line that says what is missing. */
export async function optionalProgram({ names, packages }: Wanted): Promise<string | undefined> {
  const found = onPath(names)
  if (found) return found
  const reason = await install(names, packages)
  const installed = onPath(names)
  if (!installed) console.warn(`Skipped: these tests need ${names.join(' or ')} on the path${reason}.`)
  return installed
}

export function onPath(names: readonly string[], path = process.env.PATH ?? ''): string | undefined {
  const folders = path.split(delimiter).filter(Boolean)
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

// `flock` lets one worker in at a time, and whoever comes second finds the program there. The system
// frees the lock of a run that was killed, which no lock file of ours could promise.
const SCRIPT = `
for name in $1; do command -v "$name" > /dev/null && exit 0; done
export DEBIAN_FRONTEND=noninteractive
apt-get -q update && apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $2`

const INSTALL_MS = 600_000

/** Install the packages where that is ours to do; what comes back explains why it did not help. */
async function install(names: readonly string[], packages: readonly string[]): Promise<string> {
  if (packages.length === 0) return ''
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    return ` (on Debian: apt-get install ${packages.join(' ')})`
  }
  const script = ['sh', '-c', SCRIPT, 'install', names.join(' '), packages.join(' ')]
  try {
    await promisify(execFile)('flock', ['/tmp/shardgate-apt.lock', ...script], { timeout: INSTALL_MS })
    return ''
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1)
    return `; apt-get could not install ${packages.join(' ')}: ${said || 'it did not say why'}`
  }
}
