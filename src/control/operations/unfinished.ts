/** Going on with an operation, or undoing it, by its number. */

import { fail } from '../../base/errors.ts'
import { noFailpoints } from '../../base/failpoints.ts'
import type { Client } from '../../db/client.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { kindNamed } from './kinds.ts'
import { alone, MOVE_KIND, operatorOf, runOperation, wayOut } from './run.ts'
import { dropStep, endOperation, findOperation } from './store.ts'
import type { At, Kind, OperationRecord, Report } from './types.ts'

/**
 * Go on with an unfinished operation.
 *
 * @throws REFUSED      there is no such operation, it has ended, or it is part of a move
 * @throws TENANT_BUSY  somebody runs it now
 * @throws              what its steps throw
 */
export async function resumeOperation(
  fleet: Fleet,
  id: string,
  report: Report = () => {},
): Promise<OperationRecord> {
  const { kind, tenant, input } = await onDirectory(fleet.directoryUrl, (directory) => running(directory, id))
  // It may have ended since: then there is nothing to go on with, and nothing new may begin.
  const require = async (directory: Client): Promise<void> => void (await running(directory, id))
  await runOperation(fleet, kindNamed(kind), { tenant, input, report, require })
  return onDirectory(fleet.directoryUrl, (directory) => known(directory, id))
}

/**
 * Undo an unfinished operation, the latest step first.
 *
 * @throws REFUSED      there is no such operation, it has ended, it is part of a move, or what it did cannot be undone
 * @throws TENANT_BUSY  somebody runs it now
 * @throws              what undoing throws; it can be given again then
 */
export async function abortOperation(
  fleet: Fleet,
  id: string,
  report: Report = () => {},
): Promise<OperationRecord> {
  const { tenant, kind: name } = await onDirectory(fleet.directoryUrl, (directory) => running(directory, id))
  const kind = kindNamed(name)
  return alone(fleet, tenant, name, async (directory) => {
    const record = await running(directory, id)
    const { input, memory } = record
    const at = { fleet, directory, tenant, input, memory, report, operation: id }
    const whyNot = kind.whyNotAbort?.(at)
    if (whyNot !== undefined)
      fail('REFUSED', whyNot, {}, { hint: `Type "shardgate operation resume ${id}".` })
    await undo(kind, record, at)
    await endOperation(directory, operatorOf(fleet), record, 'aborted')
    return known(directory, id)
  })
}

/** The step that was under way when it stopped may be half done: it is undone too. */
async function undo(
  kind: Kind<object, object>,
  record: OperationRecord,
  at: At<object, object>,
): Promise<void> {
  const { failpoints = noFailpoints } = at.fleet
  const next = kind.steps.find(({ name }) => !record.done.includes(name))
  const begun = kind.steps.filter((step) => step === next || record.done.includes(step.name))
  for (const step of begun.reverse()) {
    await failpoints.hit(`before ${kind.name} undo ${step.name}`)
    await step.undo?.(at)
    await failpoints.hit(`after ${kind.name} undo ${step.name}`)
    await dropStep(at.directory, record.id, step.name)
  }
}

async function known(directory: Client, id: string): Promise<OperationRecord> {
  const hint = 'See "shardgate operation list --all".'
  const found = /^\d{1,18}$/.test(id) ? await findOperation(directory, id) : null
  return found ?? fail('REFUSED', `There is no operation ${JSON.stringify(id.slice(0, 40))}.`, {}, { hint })
}

async function running(directory: Client, id: string): Promise<OperationRecord> {
  const found = await known(directory, id)
  if (found.state === 'running' && found.kind === MOVE_KIND)
    fail('REFUSED', `Operation ${id} holds ${found.tenant} for its move.`, {}, { hint: wayOut(found) })
  if (found.state === 'running') return found
  const sentence = `Operation ${id} (${found.kind}) is ${found.state} since ${found.changedAt}.`
  return fail('REFUSED', sentence, {}, { hint: 'There is nothing to resume and nothing to abort.' })
}
