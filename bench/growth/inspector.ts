/** The inspector of another Node process: its heap, after a collection. */

export interface Inspector {
  /** Bytes of the heap that are in use once garbage has been collected. */
  heapBytes(): Promise<number>
  close(): void
}

export async function openInspector(port: number): Promise<Inspector> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    webSocketDebuggerUrl: string
  }[]
  const socket = new WebSocket(targets[0]?.webSocketDebuggerUrl ?? '')
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error('The inspector does not answer.')))
  })
  let calls = 0
  const call = (method: string): Promise<{ usedSize?: number }> => {
    const id = ++calls
    return new Promise((resolve) => {
      const listen = ({ data }: MessageEvent): void => {
        const message = JSON.parse(String(data))
        if (message.id !== id) return
        socket.removeEventListener('message', listen)
        resolve(message.result)
      }
      socket.addEventListener('message', listen)
      socket.send(JSON.stringify({ id, method }))
    })
  }
  return {
    async heapBytes() {
      // What the first collection finalizes, the second frees.
      await call('HeapProfiler.collectGarbage')
      await call('HeapProfiler.collectGarbage')
      return (await call('Runtime.getHeapUsage')).usedSize ?? 0
    },
    close: () => socket.close(),
  }
}
