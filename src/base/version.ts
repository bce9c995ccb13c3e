/** The version of this program, as its package says it. */

import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'

const file = findPackageJSON(import.meta.url)

export const VERSION: string = file ? JSON.parse(readFileSync(file, 'utf8')).version : 'unknown'
