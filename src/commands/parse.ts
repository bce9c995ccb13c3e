/** Values of options: what cannot be meant is refused before anything is done. */

import { InvalidArgumentError } from 'commander'

/** A parser for whole numbers from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`Wanted a whole number from ${min} to ${max}.`)
  }
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** Seconds of a duration such as '30s', '15m', '8h' or '7d'. */
export function seconds(text: string): number {
  const [, digits, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const value = Number(digits) * SECONDS[(unit ?? 's') as keyof typeof SECONDS]
  if (value >= 1) return value
  throw new InvalidArgumentError('Wanted a duration such as 30s, 15m, 8h or 7d.')
}
