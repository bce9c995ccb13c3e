/** The contract of graphql/changes.ts: what breaks is called so, whatever stands around it. */

import { describe, expect, it } from 'vitest'
import { changesOf } from '../../src/graphql/changes.ts'

const BEFORE = `
type Query { tickets(first: Int = 20, state: State, sort: Sort): [Ticket!]! old: String @deprecated(reason: "use tickets") pick(by: Key): Ticket }
type Mutation { createTicket(input: TicketCreate!): CreateTicketResult! }
type Ticket { id: ID! subject: String! note(format: String): String state: State }
type ConstraintError { message: String! }
union CreateTicketResult = ConstraintError | Ticket
enum State { OPEN DONE }
enum Sort { SUBJECT }
input TicketCreate { subject: String! note: String }
input Key { id: ID subject: String }
`

/** The changes that an edit of the schema above makes, as 'path: message' in three groups. */
async function after(edit: [string | RegExp, string][]) {
  const text = edit.reduce((sdl, [from, to]) => sdl.replace(from, to), BEFORE)
  expect(text).not.toBe(BEFORE)
  const changes = await changesOf(BEFORE, text)
  const paths = (group: keyof typeof changes) => changes[group].map(({ path }) => path)
  return { breaking: paths('breaking'), dangerous: paths('dangerous'), safe: paths('safe') }
}

const none = { breaking: [], dangerous: [], safe: [] }

describe('changes', () => {
  it('are none between equal schemas, however they are laid out', async () => {
    expect(await changesOf(BEFORE, BEFORE.replaceAll('{ ', '{\n  '))).toEqual(none)
  })

  it.each<[string, [string, string][], string[]]>([
    ['a field that is gone', [['subject: String! note(', 'note(']], ['Ticket.subject']],
    ['a deprecated field that is gone', [[/old: String @.*?\)/.exec(BEFORE)![0], '']], ['Query.old']],
    [
      'a field that may be null now',
      [['subject: String! note(', 'subject: String note(']],
      ['Ticket.subject'],
    ],
    ['a field of another type', [['id: ID! subject', 'id: Int! subject']], ['Ticket.id']],
    ['an argument that is gone', [['state: State, sort', 'sort']], ['Query.tickets.state']],
    [
      'an argument that is wanted now',
      [['state: State, sort', 'state: State! sort']],
      ['Query.tickets.state'],
    ],
    ['a value that is gone', [['OPEN DONE', 'OPEN']], ['State.DONE']],
    ['an input field that is wanted now', [['note: String }', 'note: String! }']], ['TicketCreate.note']],
    [
      'a new input field that is wanted',
      [['note: String }', 'note: String kind: Int! }']],
      ['TicketCreate.kind'],
    ],
    ['an input of which one key may be given', [['input Key {', 'input Key @oneOf {']], ['Key.@oneOf']],
    ['a result that is gone', [['= ConstraintError | Ticket', '= Ticket']], ['CreateTicketResult']],
  ])('%s breaks', async (_, edit, breaking) => {
    expect(await after(edit)).toMatchObject({ breaking })
  })

  it.each<[string, [string, string][], string]>([
    ['a new value', [['OPEN DONE', 'OPEN DONE LATER']], 'State.LATER'],
    ['a new result', [['| Ticket', '| Ticket | Query']], 'CreateTicketResult'],
    ['another default', [['first: Int = 20', 'first: Int = 10']], 'Query.tickets.first'],
  ])('%s is dangerous', async (_, edit, path) => {
    expect(await after(edit)).toEqual({ ...none, dangerous: [path] })
  })

  it.each<[string, [string, string][], string[]]>([
    ['a new field', [['id: ID! subject', 'id: ID! due: String subject']], ['Ticket.due']],
    [
      'a new type with its fields',
      [['enum State', 'type Note { id: ID! text: String } enum State']],
      ['Note'],
    ],
    ['a new value of what is only asked with', [['{ SUBJECT }', '{ SUBJECT NOTE }']], ['Sort.NOTE']],
    ['a new input field', [['note: String }', 'note: String kind: Int }']], ['TicketCreate.kind']],
    [
      'a deprecation',
      [['subject: String! note(', 'subject: String! @deprecated(reason: "use title") note(']],
      ['Ticket.subject.@deprecated'],
    ],
  ])('%s is safe, and told once', async (_, edit, safe) => {
    expect(await after(edit)).toEqual({ ...none, safe })
  })

  it('that break are told below what is safe', async () => {
    const field = await after([['note(format: String): String', '"Words." note: String']])
    expect(field.breaking).toEqual(['Ticket.note.format'])
    const described = await after([
      ['type Ticket { id: ID! subject: String!', '"Words." type Ticket { id: ID!'],
    ])
    expect(described.breaking).toEqual(['Ticket.subject'])
    const deprecated = await after([
      ['note(format: String): String', 'note: String @deprecated(reason: "x")'],
    ])
    expect(deprecated.breaking).toEqual(['Ticket.note.format'])
  })

  it.each(['type {', 'type Query { a: Nowhere }', ''])('from %j are wrong usage', async (text) => {
    await expect(changesOf(text, BEFORE)).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringMatching('schema print -f'),
    })
  })
})
