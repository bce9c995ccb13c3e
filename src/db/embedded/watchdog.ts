/**
 * Stops the servers when we die without having stopped them, even by SIGKILL.
 *
 * A shell waits for the end of its standard input, a pipe that only we hold; the system closes it
 * whatever we die of. On Windows there is none, and the next start stops what was left behind.
 */

import { spawn } from 'node:child_process'
import { realpathSync } from 'node:fs'

// The working folder is compared so that a number which the system has given out again is not hit.
const SCRIPT = `
while read -r line; do :; done
for folder; do
  { read -r pid < "$folder/postmaster.pid"; } 2>/dev/null || continue
  if [ -e /proc/self/cwd ] && [ "$(readlink "/proc/$pid/cwd")" != "$folder" ]; then continue; fi
  kill -INT "$pid" 2>/dev/null
done`

/** Watch over the servers on `folders`; the function that comes back ends the watch. */
export function startWatchdog(folders: readonly string[]): () => void {
  if (process.platform === 'win32') return () => {}
  const shell = spawn(
    '/bin/sh',
    ['-c', SCRIPT, 'shardgate-watchdog', ...folders.map((f) => realpathSync(f))],
    {
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  )
  shell.on('error', () => {}) // No shell: the next start stops what was left behind.
  shell.stdin.on('error', () => {})
  shell.unref()
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref()
  return () => shell.stdin.end()
}
