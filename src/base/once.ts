/** What is made once and asked for often, faults included. */

/** What `make` gives or throws, again and again. */
export function once<T>(make: () => T): () => T {
  try {
    const made = make()
    return () => made
  } catch (error) {
    return () => {
      throw error
    }
  }
}
