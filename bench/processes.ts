/** Server processes of the benchmark: each with a process group, a free port and a log file of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'

const START_MS = 60_000
const STOP_MS = 10_000

export interface ServerProcess {
  readonly pid: number
  readonly port: number
  readonly logFile: string
  stop(): Promise<void>
}

export interface ProcessOptions {
  readonly name: string
  /** What Node runs: the file, and what it is told. */
  readonly args: readonly string[]
  /** PORT comes on top. */
  readonly env: Readonly<Record<string, string>>
  readonly logFile: string
}

const running = new Set<ChildProcess>()

/** Start a server, and wait until its port answers. */
export async function startProcess(options: ProcessOptions): Promise<ServerProcess> {
  const port = await freePort()
  const log = openSync(options.logFile, 'w')
  const child = spawn(process.execPath, options.args, {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...options.env, PORT: String(port) },
    // Its own group, so that its children, if it has any, end with it.
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  running.add(child)
  child.once('exit', () => running.delete(child))
  await answering(child, port, options)
  return { pid: child.pid ?? 0, port, logFile: options.logFile, stop: () => stopProcess(child) }
}

/** A port that nobody listens on: a server that an earlier run has left behind is never measured. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function answering(
  child: ChildProcess,
  port: number,
  { name, logFile }: ProcessOptions,
): Promise<void> {
  const deadline = performance.now() + START_MS
  while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
    if (await takesConnections(port)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  kill(child, 'SIGKILL')
  const log = readFileSync(logFile, 'utf8').trim().split('\n').slice(-20).join('\n')
  throw new Error(`${name} did not start. The end of ${logFile}:\n${log}`)
}

async function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false // Not listening yet.
  } finally {
    socket.destroy()
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return
  const gone = once(child, 'exit')
  kill(child, 'SIGTERM')
  const timer = setTimeout(() => kill(child, 'SIGKILL'), STOP_MS)
  await gone
  clearTimeout(timer)
}

function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid ?? 0), signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // Already gone.
  }
}

process.once('exit', () => {
  for (const child of running) kill(child, 'SIGKILL')
})
