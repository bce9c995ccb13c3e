/**
 * Stops the servers when we die without having stopped them, even by SIGKILL.
 *
 * A shell waits for the end of its standard input, a pipe that only we hold; the system closes it
 * whatever we die of. On Windows there is none, and the next start stops what was left behind.
 */

import { spawn } from 'node:child_process'
import { realpathSync } from 'node:fs'

// Only numbers that it was told are hit, and only while they stand in the folder's postmaster.pid and
// (where the system tells) work in that folder: by then a later start may have its own servers there.
const SCRIPT = `
told=' '
while read -r pid; do told="$told$pid "; done
for folder; do
  { read -r pid < "$folder/postmaster.pid"; } 2>/dev/null || continue
  case "$told" in *" $pid "*) ;; *) continue ;; esac
  if [ -e /proc/self/cwd ] && [ "$(readlink "/proc/$pid/cwd")" != "$folder" ]; then continue; fi
  kill -INT "$pid" 2>/dev/null
done`

export interface Watchdog {
  /** Stop this server too, should we die. */
  watch(pid: number): void
  end(): void
}

/** Watch over servers on `folders`, which must exist. */
export function startWatchdog(folders: readonly string[]): Watchdog {
  if (process.platform === 'win32') return { watch: () => {}, end: () => {} }
  const paths = folders.map((folder) => realpathSync(folder))
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'shardgate-watchdog', ...paths], {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.on('error', () => {}) // No shell: the next start stops what was left behind.
  shell.stdin.on('error', () => {})
  shell.unref()
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref()
  return {
    watch: (pid) => void shell.stdin.write(`${pid}\n`),
    end: () => void shell.kill('SIGKILL'),
  }
}
