/** Which statements name a table that is refused: everything that may, and nothing that cannot. */

import { describe, expect, it } from 'vitest'
import { refusedTables } from '../../src/shards/refused-tables.ts'

const named = (id: string, text: string): boolean => refusedTables([id]).namedIn(text) === id

describe('app.tasks is named by', () => {
  it.each([
    'select 1 from "app"."tasks" t',
    'select 1 from app.tasks',
    'select 1 from App . "tasks"',
    'SELECT 1 FROM TASKS',
    'update tasks set a = 1',
    'select tasks.id from x',
    'select 1 from app./* */tasks',
    `select query_to_xml('select * from tasks', true, true, '')`,
    'select 1 from u&"t\\0061sks"',
    'with a as (select 1)delete from"tasks"',
  ])('%s', (text) => {
    expect(named('app.tasks', text)).toBe(true)
  })
})

describe('app.tasks is not named by', () => {
  it.each([
    'select 1 from "app"."subtasks" t',
    'select 1 from tasks_done, "tasks2", no_tasks, täsks',
    'select "t"."tasks" from "app"."users" "t"',
    'select t . tasks from app.users t',
    'select 1 from other.tasks',
    'select 1 from xapp.tasks',
  ])('%s', (text) => {
    expect(named('app.tasks', text)).toBe(false)
  })
})

it.each([
  ['Odd "Schema".v1.Odd Table', 'select 1 from "Odd ""Schema"".v1"."Odd Table"'],
  ['names.say "hi"', 'select 1 from "names"."say ""hi"""'],
  ['names.größen', 'select 1 from GRÖSSEN, Größen'],
  ['names.a.b(c)[d]', 'select 1 from "a.b(c)[d]"'],
  ['names.日本', 'select 1 from 日本'],
])('%s is named by %s', (id, text) => {
  expect(named(id, text)).toBe(true)
})

it('nothing is refused when there is nothing to refuse', () => {
  expect(refusedTables([]).namedIn('select 1 from u&"x"')).toBeUndefined()
})
