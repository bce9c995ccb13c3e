/** Every kind of operation by its name, for those who know only the number of one. */

import { fail } from '../../base/errors.ts'
import { CLONE } from '../copy/clone-steps.ts'
import { EXPORT } from '../copy/export.ts'
import { IMPORT } from '../copy/import-steps.ts'
import { CREATE } from '../creation.ts'
import { PURGE } from '../life/purge.ts'
import { STATE_KINDS } from '../life/state.ts'
import type { Kind } from './types.ts'

/** What is written down of an operation fits its kind, because nothing else has written it. */
type AnyKind = Kind<object, object>

const KINDS: readonly unknown[] = [CREATE, ...Object.values(STATE_KINDS), PURGE, EXPORT, IMPORT, CLONE]

/** @throws REFUSED  this release does not know it */
export function kindNamed(name: string): AnyKind {
  const found = (KINDS as readonly AnyKind[]).find((kind) => kind.name === name)
  return found ?? fail('REFUSED', `This release does not know operations of the kind ${name}.`)
}
