/** Parts of a benchmark that are chosen by the environment. */

/** @throws when `variable` names something else than the parts that there are */
export function chosen<T extends string>(variable: string, all: readonly T[]): T[] {
  const wanted = process.env[variable]?.split(',')
  for (const name of wanted ?? []) {
    if (!all.some((known) => known === name))
      throw new Error(`${variable}: wanted some of ${all.join(',')}; "${name}" came.`)
  }
  return all.filter((name) => !wanted || wanted.includes(name))
}
