/** Writers of objects: their fields in order, each after its name. */

/** One function for all fields; each key comes with the comma before it. */
export function objectWriter<Args extends readonly unknown[]>(
  fields: readonly (readonly [key: string, write: (...args: Args) => string])[],
): (...args: Args) => string {
  // All of them are left out by @skip.
  if (fields.length === 0) return () => '{}'
  const keys = fields.map(([key], i) => (i === 0 ? `{${key}` : `,${key}`))
  const writes = fields.map(([, write]) => write)
  return (...args) => {
    let text = ''
    for (let i = 0; i < writes.length; i++) text += keys[i]! + writes[i]!(...args)
    return `${text}}`
  }
}

export function constant(text: string): () => string {
  const json = JSON.stringify(text)
  return () => json
}
