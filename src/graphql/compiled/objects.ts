/** Writers of objects: their fields in order, each after its name. */

type Write<A, B> = (of: A, beside: B) => string
type Fields<W> = readonly (readonly [key: string, write: W])[]

/**
 * One function for all fields; each key comes with the comma before it.
 *
 * Of two parameters and no list of them, which a call for each field would have to take apart: a fifth of the time.
 */
export function objectWriter<A>(fields: Fields<(of: A) => string>): (of: A) => string
export function objectWriter<A, B>(fields: Fields<Write<A, B>>): Write<A, B>
export function objectWriter<A, B>(fields: Fields<Write<A, B>>): Write<A, B> {
  // All of them are left out by @skip.
  if (fields.length === 0) return () => '{}'
  const keys = fields.map(([key], i) => (i === 0 ? `{${key}` : `,${key}`))
  const writes = fields.map(([, write]) => write)
  return (of, beside) => {
    let text = ''
    for (let i = 0; i < writes.length; i++) text += keys[i]! + writes[i]!(of, beside)
    return `${text}}`
  }
}

export function constant(text: string): () => string {
  const json = JSON.stringify(text)
  return () => json
}
