/** Ctrl-C of long work: the first one asks it to stop where that is safe, the second one ends the process. */

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * Run `work` with a signal that is aborted by the first SIGINT or SIGTERM.
 *
 * @param onStop  tells the operator what happens now
 */
export async function stoppable<T>(
  onStop: () => void,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stopping = new AbortController()
  const stop = (): void => {
    forget()
    stopping.abort()
    onStop()
  }
  // Without a listener a signal does what it always does.
  const forget = (): void => {
    for (const name of SIGNALS) process.off(name, stop)
  }
  for (const name of SIGNALS) process.on(name, stop)
  try {
    return await work(stopping.signal)
  } finally {
    forget()
  }
}
