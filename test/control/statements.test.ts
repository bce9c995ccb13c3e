/** Cutting SQL into statements: every place in which a semicolon ends nothing. */

import { describe, expect, it } from 'vitest'
import { statementsOf } from '../../src/control/migrate/statements.ts'

const texts = (sql: string): string[] => statementsOf(sql).map(({ text }) => text)

describe('a semicolon ends a statement', () => {
  it.each<[string, string[]]>([
    ['select 1; select 2', ['select 1', 'select 2']],
    [';; select 1;;', ['select 1']],
    ['', []],
    ['  \n-- nothing\n/* nothing; */ ', []],
    ['+1; 2', ['+1', '2']],
  ])('%j', (sql, wanted) => {
    expect(texts(sql)).toEqual(wanted)
  })
})

describe('not in', () => {
  it.each([
    ['a text', `select 'a;b', 'it''s;'`],
    ['a text with escapes', `select e'\\';', E'\\\\'`],
    ['a text that ends in a backslash', `select '\\'`],
    ['a name', `select 1 as "a;""b"`],
    ['a comment', 'select 1 -- a;b'],
    ['a comment in a comment', 'select /* a; /* b; */ c; */ 1'],
    ['dollar quotes', 'do $$ begin perform 1; end $$'],
    ['dollar quotes with a tag, and others within', 'do $a$ begin execute $$ select 1; $$; end $a$'],
    ['a tag of other letters', 'do $ü$ ; $$ ; $ü$'],
    ['parentheses', 'create rule r as on insert to t do (select 1; select 2)'],
    [
      'a body as SQL',
      'create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end',
    ],
    ['a procedure as SQL', 'create procedure "p"() begin atomic select 1; end'],
  ])('%s', (_, sql) => {
    expect(texts(`${sql}\n; select 'next'`)).toEqual([sql, `select 'next'`])
  })

  it('a comment that nobody closes', () => {
    expect(texts('select 1 /* a; select 2')).toEqual(['select 1 /* a; select 2'])
  })

  it('a name with dollars, which quotes nothing', () => {
    expect(texts('select a$b$; select c$b$')).toEqual(['select a$b$', 'select c$b$'])
  })

  it('and a transaction is no body', () => {
    expect(texts('begin; select 1; end')).toEqual(['begin', 'select 1', 'end'])
  })
})

it('tells the line on which a statement begins', () => {
  expect(statementsOf('-- one\nselect 1;\n\n/* four\n */ select 2;').map(({ line }) => line)).toEqual([2, 5])
})
