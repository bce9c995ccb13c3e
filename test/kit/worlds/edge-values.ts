/**
 * Every type that Postgres brings and a column can have, each with values at its edges, as Postgres text.
 *
 * A value is given as it is written; what Postgres makes of it (`1E3` becomes `1000`) is asked of Postgres.
 * `INTERNAL` names the types of the catalogs that no column of a user's has, so that a test can hold the
 * whole to what the server knows.
 */

/** How long the long texts are: more than a page of 8 kB holds, so they are stored out of line. */
const LONG = 100_000

const LETTERS = `quote ' double " back\\slash {brace} (bracket) , comma; -- /* */ $1 $$ %s \n\t\u0001`
const FOREIGN = 'größe — 日本語 — e\u0301 (combining) — \u{1F469}\u200D\u{1F680} — \u202Ertl'

const deep = (levels: number): string => `${'['.repeat(levels)}1${']'.repeat(levels)}`

const JSON_VALUES = [
  'null',
  '"text"',
  '0',
  '-0',
  '12345678901234567890.123456789012345678901234567890',
  '1e400',
  '{"": {"a b": [1, 2.50, null, true]}, "__proto__": {"x": 1}, "n": 9007199254740993}',
  deep(200),
  `{"text": ${JSON.stringify(FOREIGN)}}`,
]

const MOMENTS = [
  '2026-02-28 23:59:59.999999',
  '4714-11-24 00:00:00 BC',
  '0001-12-31 23:59:59.000001 BC',
  '294276-12-31 23:59:59.999999',
  'infinity',
  '-infinity',
]

/** By type, as it stands in a column definition. */
export const EDGE_VALUES: Readonly<Record<string, readonly string[]>> = {
  boolean: ['true', 'false'],
  '"char"': ['x', '', '\\351'],
  name: ['a name', 'n'.repeat(63)],
  int2: ['-32768', '32767', '0'],
  int4: ['-2147483648', '2147483647', '0'],
  int8: ['-9223372036854775808', '9223372036854775807', '9007199254740993'],
  numeric: ['NaN', 'Infinity', '-Infinity', '-0', '1.000', '1e-200', `${'9'.repeat(300)}.${'1'.repeat(300)}`],
  'numeric(12, 2)': ['-9999999999.99', '0.00'],
  money: ['-92233720368547758.08', '0.01'],
  float4: ['NaN', 'Infinity', '-Infinity', '-0', '1e-45', '3.4028235e+38', '0.1'],
  float8: ['NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1.7976931348623157e+308', '0.1'],
  text: ['', ' ', LETTERS, FOREIGN, 'null', 'x'.repeat(LONG)],
  'varchar(40)': ['', 'forty', '日'.repeat(40)],
  'char(5)': ['', 'ab', 'abcde'],
  bytea: ['\\x', '\\x00ff10', `\\x${'ab'.repeat(3_000)}`],
  uuid: ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  date: ['4714-11-24 BC', '0001-01-01', '5874897-12-31', 'infinity', '-infinity', '2024-02-29'],
  time: ['00:00:00', '24:00:00', '23:59:59.999999'],
  timetz: ['24:00:00-15:59', '00:00:00+15:59', '12:30:00.000001+05:30'],
  timestamp: MOMENTS,
  timestamptz: MOMENTS.map((moment) =>
    moment.includes('infinity') ? moment : moment.replace(/( BC)?$/, '+00$1'),
  ),
  interval: [
    '-178000000 years',
    '1 year 2 mons -3 days 04:05:06.789',
    '00:00:00',
    '-00:00:00.000001',
    'P1Y2M',
  ],
  json: [...JSON_VALUES, '{"twice": 1, "twice": 2}', ' { "spaces" : [ ] } '],
  jsonb: JSON_VALUES,
  jsonpath: ['$', '$."a b"[*] ? (@ > 1)'],
  xml: ['<a b="c">text</a>', ''],
  inet: ['0.0.0.0', '192.168.1.5/24', '2001:db8::1', '::ffff:1.2.3.4/128'],
  cidr: ['10.0.0.0/8', '2001:db8::/32'],
  macaddr: ['08:00:2b:01:02:03'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
  point: ['(-0,1e+300)', '(NaN,Infinity)'],
  line: ['{1,-1,0}'],
  lseg: ['[(0,0),(1,1)]'],
  box: ['(1,1),(0,0)'],
  path: ['[(0,0),(1,1)]', '((0,0),(1,1),(2,0))'],
  polygon: ['((0,0),(1,1),(2,0))'],
  circle: ['<(0,0),1.5>'],
  'bit(4)': ['0101'],
  'bit varying(64)': ['', '1'.repeat(64)],
  tsvector: ["'a':1A 'fat':2B,4C 'it''s':7", ''],
  tsquery: ["'fat' & ( 'rat' | !'cat' )", "'super':*", ''],
  int4range: ['empty', '[1,10)', '(,)', '[5,)'],
  int8range: ['empty', '[-9223372036854775808,9223372036854775807)'],
  numrange: ['empty', '[1.10,2.20]', '(NaN,)'],
  daterange: ['empty', '["0044-03-15 BC",infinity)'],
  tsrange: ['empty', '["2026-01-01 00:00:00","2026-01-02 00:00:00.000001")'],
  tstzrange: ['empty', '(,"2026-01-01 00:00:00+00"]'],
  int4multirange: ['{}', '{[1,3),[5,8)}'],
  int8multirange: ['{}', '{(,)}'],
  nummultirange: ['{}', '{[1.1,2.2]}'],
  datemultirange: ['{}', '{[2026-01-01,2026-02-01),[2026-03-01,)}'],
  tsmultirange: ['{}', '{["2026-01-01 00:00:00","2026-01-02 00:00:00")}'],
  tstzmultirange: ['{}', '{["2026-01-01 00:00:00+00",)}'],
  oid: ['0', '4294967295'],
  oidvector: ['', '1 2 3'],
  int2vector: ['', '1 -2 3'],
  regclass: ['pg_class', '-'],
  regtype: ['integer', 'timestamp with time zone[]'],
  regproc: ['now'],
  regprocedure: ['lower(text)'],
  regoper: ['|/'],
  regoperator: ['+(integer,integer)'],
  regnamespace: ['pg_catalog'],
  regrole: ['pg_monitor'],
  regcollation: ['"C"'],
  regconfig: ['simple'],
  regdictionary: ['simple'],
  pg_lsn: ['0/0', 'FFFFFFFF/FFFFFFFF'],
  pg_snapshot: ['10:20:10,14,15'],
  txid_snapshot: ['10:20:10,14,15'],
  xid: ['0', '4294967295'],
  xid8: ['18446744073709551615'],
  cid: ['4294967295'],
  tid: ['(0,1)', '(4294967295,65535)'],
  refcursor: ['cursor of nobody', ''],
  aclitem: ['=r/postgres'],
}

/** Types of the catalogs alone: statistics, parse trees and the insides of indexes. */
export const INTERNAL: readonly string[] = [
  'gtsvector',
  'pg_brin_bloom_summary',
  'pg_brin_minmax_multi_summary',
  'pg_dependencies',
  'pg_mcv_list',
  'pg_ndistinct',
  'pg_node_tree',
]

/**
 * Texts of arrays of a type: none, empty, of two dimensions, from another bound, with nulls.
 *
 * @param separator  what stands between two items; a semicolon for boxes
 */
export function edgeArrays(values: readonly string[], separator: ',' | ';'): string[] {
  const list = (items: readonly string[]): string => `{${items.join(separator)}}`
  const quoted = values.map((value) => `"${value.replace(/[\\"]/g, '\\$&')}"`)
  const [one = 'NULL', two = one] = quoted
  return [
    '{}',
    list(quoted),
    list(['NULL', one, 'NULL']),
    list([list([one, two]), list([two, 'NULL'])]),
    `[0:1]=${list([one, two])}`,
  ]
}
