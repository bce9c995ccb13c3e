/**
 * The GraphQL types of values: scalars, enums, ranges as objects with their bounds, row types as objects with
 * their fields. Ranges and row types have an input type beside the one for answers.
 */

import type { FieldRef, ObjectRef } from '@pothos/core'
import { RARE_SCALARS, type ScalarName } from '../../model/scalar-names.ts'
import { valueTypeNames } from '../../model/type-names.ts'
import type { ColumnType, CompositeType, EnumType, Model } from '../../model/types.ts'
import {
  addScalar,
  type Builder,
  type InputFieldsOf,
  type InputRef,
  inputObject,
  type SchemaTypes,
} from '../builder.ts'
import type { GatewayContext } from '../context.ts'
import { means } from '../meanings.ts'

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>
type OutputRef = ObjectRef<Types, Readonly<Record<string, unknown>>>
type InputFields = Parameters<InputFieldsOf>[0]
type OutputFields<T> = PothosSchemaTypes.ObjectFieldBuilder<Types, T>

export interface ValueTypes {
  /** Name of the type of one value, in answers: 'Int', 'Status', 'DateRange'. */
  valueName(type: ColumnType): string
  /** The type of one value in an input: of the element for arrays, of one range for multiranges. */
  inputType(type: ColumnType): ScalarName | InputRef
  /** The same in an answer. The name of a scalar stands for all of them, for TypeScript's sake. */
  outputType(type: ColumnType): 'String'
}

/** Makes the types that columns of `model` have, each once. */
export function valueTypes(builder: Builder, model: Model): ValueTypes {
  const name = valueTypeNames(model)
  const inputs = new Map<string, InputRef>()
  const outputs = new Map<string, OutputRef | InputRef>()
  const scalars = new Set<string>()
  const types: ValueTypes = {
    valueName: name,
    inputType: (type) => inputs.get(name(type)) ?? scalar(type),
    outputType: (type) => (outputs.get(name(type)) ?? scalar(type)) as 'String',
  }

  function scalar(type: ColumnType): ScalarName {
    const known = name(type) as ScalarName
    const isRare = (RARE_SCALARS as readonly string[]).includes(known)
    if (isRare && !scalars.has(known)) addScalar(builder, known as (typeof RARE_SCALARS)[number])
    scalars.add(known)
    return known
  }

  function addRange(type: ColumnType): void {
    const [own, of] = [name(type), type.range!.of]
    if (outputs.has(own)) return
    outputs.set(own, rangeObject(builder, types, own, of))
    inputs.set(own, rangeInput(builder, types, own, of))
  }

  for (const type of model.enums) {
    const ref = enumType(builder, type)
    inputs.set(type.typeName, ref)
    outputs.set(type.typeName, ref)
  }
  // Known before their fields are defined: row types may hold each other, and ranges.
  for (const { typeName } of model.composites) {
    outputs.set(typeName, builder.objectRef(typeName))
    inputs.set(typeName, builder.inputRef(`${typeName}Input`) as InputRef)
  }
  const columns = model.tables.flatMap((table) => table.columns.map(({ type }) => type))
  const fields = model.composites.flatMap((composite) => composite.fields.map(({ type }) => type))
  for (const type of [...columns, ...fields]) if (type.range) addRange(type)
  for (const composite of model.composites) implement(composite)
  return types

  function implement(composite: CompositeType): void {
    const description = composite.comment === undefined ? {} : { description: composite.comment }
    builder.objectType(outputs.get(composite.typeName) as OutputRef, {
      ...description,
      fields: (t) =>
        Object.fromEntries(
          composite.fields.map(({ field, type, ...about }) => [
            field,
            outputField(
              t,
              types,
              type,
              { ...documented(about), ...means({ kind: 'part' }), nullable: true },
              (row) => row[field],
            ),
          ]),
        ),
    })
    inputObject(builder, inputs.get(composite.typeName)!, description, (t) =>
      composite.fields.map(({ field, type, ...about }) => [
        field,
        inputField(t, types, type, { ...documented(about), required: false }),
      ]),
    )
  }
}

function enumType(builder: Builder, type: EnumType): InputRef {
  const values = Object.fromEntries(type.values.map(({ name, label }) => [name, { value: label }]))
  return builder.enumType(type.typeName, { ...documented(type), values })
}

function rangeObject(builder: Builder, types: ValueTypes, name: string, of: ColumnType): OutputRef {
  const flag = (t: OutputFields<Readonly<Record<string, unknown>>>, field: string, description: string) =>
    t.boolean({
      nullable: false,
      description,
      ...means({ kind: 'part' }),
      resolve: (range) => range[field] === true,
    })
  const bound = { nullable: true, description: NO_BOUND, ...means({ kind: 'part' }) }
  return builder.objectRef<Readonly<Record<string, unknown>>>(name).implement({
    description: 'All values between two bounds.',
    fields: (t) => ({
      lower: outputField(t, types, of, bound, ({ lower }) => lower),
      upper: outputField(t, types, of, bound, ({ upper }) => upper),
      lowerInclusive: flag(t, 'lowerInclusive', 'Whether the lower bound itself belongs to it.'),
      upperInclusive: flag(t, 'upperInclusive', 'Whether the upper bound itself belongs to it.'),
      isEmpty: flag(t, 'isEmpty', 'Whether it holds no value at all.'),
    }),
  })
}

const NO_BOUND = 'Null: without end.'

function rangeInput(builder: Builder, types: ValueTypes, name: string, of: ColumnType): InputRef {
  const description = 'All values from `lower` to before `upper`, unless it says otherwise.'
  return inputObject(builder, `${name}Input`, { description }, (t) => [
    ['lower', inputField(t, types, of, { required: false, description: NO_BOUND })],
    ['upper', inputField(t, types, of, { required: false, description: NO_BOUND })],
    ['lowerInclusive', t.boolean({ required: true, defaultValue: true })],
    ['upperInclusive', t.boolean({ required: true, defaultValue: false })],
    [
      'isEmpty',
      t.boolean({ required: true, defaultValue: false, description: 'No value; bounds do not count.' }),
    ],
  ])
}

interface About {
  /** See meanings.ts. */
  readonly extensions?: Record<string, unknown>
  readonly description?: string
  readonly deprecationReason?: string
}

/** A comment and a deprecation as Pothos takes them. */
export function documented({
  comment,
  deprecated,
}: {
  readonly comment?: string
  readonly deprecated?: string
}): About {
  return { ...(comment === undefined ? {} : { description: comment }), ...outdated({ deprecated }) }
}

/** A deprecation alone, for the places where a column is used beside the one that documents it. */
export function outdated({ deprecated }: { readonly deprecated?: string | undefined }): About {
  return deprecated === undefined ? {} : { deprecationReason: deprecated }
}

/**
 * A field of an answer with a value of `type`, as a list where it is one. JSON may be null even where the
 * column may not: JSON has a null of its own.
 */
export function outputField<T>(
  t: OutputFields<T>,
  types: ValueTypes,
  type: ColumnType,
  { nullable, ...about }: About & { readonly nullable: boolean },
  read: (parent: T, args: unknown, context: GatewayContext) => unknown,
): FieldRef<Types, unknown> {
  const item = types.outputType(type)
  const resolve = read as (parent: T) => never
  if (!type.array && !type.range?.multi)
    return t.field({ type: item, ...about, nullable: nullable || type.kind === 'json', resolve })
  const items = type.array && type.range?.multi ? t.listRef(item, { nullable: false }) : item
  return t.field({
    type: [items as 'String'],
    ...about,
    nullable: { list: nullable, items: type.array },
    resolve,
  })
}

/** A field of an input with a value of `type`, as a list where it is one. */
export function inputField(
  t: InputFields,
  types: ValueTypes,
  type: ColumnType,
  { required, ...about }: About & { readonly required: boolean },
): unknown {
  const item = types.inputType(type)
  // What is required cannot be deprecated: nobody could stop using it.
  const options = required ? { ...about, deprecationReason: undefined } : about
  if (!type.array && !type.range?.multi) return t.field({ type: item, ...options, required } as never)
  const items = type.array && type.range?.multi ? t.listRef(item as 'String', { required: true }) : item
  return t.field({ type: [items], ...options, required: { list: required, items: !type.array } } as never)
}
