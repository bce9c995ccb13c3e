/** The text of a statement for a tenant with a schema of its own: names are replaced, and nothing that only looks so. */

import { describe, expect, it } from 'vitest'
import { compile, prepared, sql } from '../../src/db/sql.ts'
import { forHomeOf } from '../../src/shards/namespaces.ts'
import { placementOf } from '../kit/placements.ts'

const acme = placementOf('acme', { isolation: 'schema', namespace: 'tenant_acme' })
const forHome = forHomeOf('app')
const own = (text: string): string => forHome(acme, [prepared(text)])[0]!.text

describe('a name of the shared schema', () => {
  it.each([
    ['select 1 from "app"."tasks" as t', 'select 1 from "tenant_acme"."tasks" as t'],
    [
      'select 1 from app.tasks t join APP.users u on t.a = u.a',
      'select 1 from "tenant_acme".tasks t join "tenant_acme".users u on t.a = u.a',
    ],
    ['insert into "app" . "tasks" default values', 'insert into "tenant_acme" . "tasks" default values'],
    ['select * from app /* here */ .tasks', 'select * from "tenant_acme" /* here */ .tasks'],
    ['select $1::"app"."task_state"[]', 'select $1::"tenant_acme"."task_state"[]'],
    [
      'select "app"."f"(t) from "app"."tasks" as t',
      'select "tenant_acme"."f"(t) from "tenant_acme"."tasks" as t',
    ],
    ['select a operator("app".=) b', 'select a operator("tenant_acme".=) b'],
    ['select 1from app.tasks', 'select 1from "tenant_acme".tasks'],
    ["select 'it''s' || app.f()", `select 'it''s' || "tenant_acme".f()`],
    [String.raw`select e'\'' || app.f('app.x')`, String.raw`select e'\'' || "tenant_acme".f('app.x')`],
    ['select $1, $2 from app.tasks', 'select $1, $2 from "tenant_acme".tasks'],
    ['select a$b$c from app.tasks where x$b$ = 1', 'select a$b$c from "tenant_acme".tasks where x$b$ = 1'],
  ])('is replaced: %s', (text, wanted) => {
    expect(own(text)).toBe(wanted)
  })

  it.each([
    ["select 'app.tasks'"],
    ["select 'it''s app.tasks'"],
    ["select '\\' || ' app.tasks'"],
    [String.raw`select e'\' app.tasks'`],
    ['select $$ app.tasks $$, $a$ $$ app.tasks $a$'],
    ['select 1 -- app.tasks'],
    ['select 1 /* app.tasks /* app.x */ app.y */'],
    ['select "app.tasks", "my app"."x", "an ""app"".x"'],
    ['select myapp.x, app_1.x, appé.x, éapp.x, app$.x from t'],
    ['select t.app.x from t'],
    ['select "App".x from "APP".t'],
    ['select app, "app" from t'],
    ['select (app).x from t'],
    ["select 'unfinished app.tasks"],
    ['select /* unfinished app.tasks'],
    ['select $x$ unfinished app.tasks'],
  ])('is not seen in: %s', (text) => {
    expect(own(text)).toBe(text)
  })

  it('is found whatever it is spelt with, and its place is quoted', () => {
    const odd = forHomeOf('My "app')
    const placed = { ...acme, namespace: 'tenant_"x' }
    const [found] = odd(placed, [compile(sql`select 1 from ${sql.identifier('My "app', 't')}`)])
    expect(found?.text).toBe('select 1 from "tenant_""x"."t"')
  })
})

describe('a statement', () => {
  const statement = { ...prepared('select 1 from "app"."tasks" where id = $1', [7]), lists: [] }

  it('keeps its values and has a name of its own in each schema', () => {
    const beta = { ...acme, namespace: 'tenant_beta' }
    const [one] = forHome(acme, [statement])
    const [other] = forHome(beta, [statement])
    expect(one).toMatchObject({ values: [7], lists: [] })
    expect(new Set([statement.name, one?.name, other?.name]).size).toBe(3)
    expect(one).toEqual({ ...prepared('select 1 from "tenant_acme"."tasks" where id = $1', [7]), lists: [] })
  })

  it('has the values of this call, not those of the one before', () => {
    const [first] = forHome(acme, [{ ...statement, values: [1] }])
    const [second] = forHome(acme, [{ ...statement, values: [2] }])
    expect([first?.values, second?.values]).toEqual([[1], [2]])
  })

  it('that is not prepared stays so', () => {
    const [found] = forHome(acme, [{ text: 'select 1 from app.tasks', values: [] }])
    expect(found).toEqual({ text: 'select 1 from "tenant_acme".tasks', values: [] })
  })

  it('of a tenant in shared tables, or with a database of its own, is not even looked at', () => {
    const statements = Object.freeze([statement])
    expect(forHome(placementOf('acme'), statements)).toBe(statements)
    const database = placementOf('acme', { isolation: 'database', namespace: 'shardgate_1_acme' })
    expect(forHome(database, statements)).toBe(statements)
  })
})
