/**
 * What an operation uses that is deprecated: fields, arguments, input fields and values of enums, also those
 * that come in variables. Whoever wants to take something away looks whether its count still grows.
 *
 * @envelop/prometheus has such a counter, which walks each document anew at each request, before it is known
 * to be valid, and looks at fields alone. Here a document is walked once.
 */

import {
  type ExecutionArgs,
  type GraphQLInputType,
  type GraphQLNamedInputType,
  type GraphQLSchema,
  getNamedType,
  getOperationAST,
  isEnumType,
  isInputObjectType,
  isInputType,
  type OperationDefinitionNode,
  TypeInfo,
  typeFromAST,
  visit,
  visitWithTypeInfo,
} from 'graphql'

/** A coordinate in two parts: 'Ticket' and 'subject', 'Query' and 'tickets(state:)', 'State' and 'LATER'. */
export interface DeprecatedUse {
  readonly typeName: string
  readonly fieldName: string
}

type Uses = Map<string, DeprecatedUse>
type Args = Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>

/** What is known of an operation without the values of its variables. */
interface Walked {
  readonly written: Uses
  /** Variables that may bring a use with them, which few can. */
  readonly inputs: readonly { readonly name: string; readonly type: GraphQLInputType }[]
}

const walked = new WeakMap<GraphQLSchema, WeakMap<OperationDefinitionNode, Walked>>()

/** Each once, of the operation that runs; the document is valid. */
export function deprecatedUses(args: Args): DeprecatedUse[] {
  const operation = getOperationAST(args.document, args.operationName)
  if (!operation) return []
  const { written, inputs } = walkOnce(args, operation)
  if (inputs.length === 0) return [...written.values()]
  const uses = new Map(written)
  for (const { name, type } of inputs) {
    const value = args.variableValues?.[name]
    if (value !== undefined) addUsesIn(uses, type, value)
  }
  return [...uses.values()]
}

function add(uses: Uses, typeName: string, fieldName: string): void {
  uses.set(`${typeName}.${fieldName}`, { typeName, fieldName })
}

function walkOnce({ schema, document }: Args, operation: OperationDefinitionNode): Walked {
  const ofSchema = walked.get(schema) ?? new WeakMap<OperationDefinitionNode, Walked>()
  walked.set(schema, ofSchema)
  const known = ofSchema.get(operation)
  if (known) return known
  const inputs = (operation.variableDefinitions ?? []).flatMap(({ variable, type: node }) => {
    const type = typeFromAST(schema, node)
    return isInputType(type) && mayBringUses(type) ? [{ name: variable.name.value, type }] : []
  })
  const fresh = { written: walk(schema, document, operation), inputs }
  ofSchema.set(operation, fresh)
  return fresh
}

const bringing = new WeakMap<GraphQLNamedInputType, boolean>()

/** Whether something in a value of the type can use what is deprecated. */
function mayBringUses(given: GraphQLInputType): boolean {
  const type = getNamedType(given)
  const known = bringing.get(type) ?? findDeprecated(type, new Set())
  bringing.set(type, known)
  return known
}

// Types of inputs are circular: a filter holds filters.
function findDeprecated(type: GraphQLNamedInputType, seen: Set<GraphQLNamedInputType>): boolean {
  if (seen.has(type)) return false
  seen.add(type)
  if (isEnumType(type)) return type.getValues().some(({ deprecationReason }) => deprecationReason)
  if (!isInputObjectType(type)) return false
  return Object.values(type.getFields()).some(
    (field) => field.deprecationReason || findDeprecated(getNamedType(field.type), seen),
  )
}

function walk(schema: GraphQLSchema, document: Args['document'], operation: OperationDefinitionNode): Uses {
  const uses: Uses = new Map()
  const types = new TypeInfo(schema)
  const visitor = visitWithTypeInfo(types, {
    // Fragments of the other operations of the document are counted with this one; few have several.
    OperationDefinition: (node) => (node === operation ? undefined : false),
    Field() {
      const field = types.getFieldDef()
      if (field?.deprecationReason) add(uses, types.getParentType()?.name ?? '', field.name)
    },
    Argument() {
      const argument = types.getArgument()
      if (!argument?.deprecationReason) return
      add(uses, types.getParentType()?.name ?? '', `${types.getFieldDef()?.name}(${argument.name}:)`)
    },
    ObjectField({ name }) {
      const parent = getNamedType(types.getParentInputType())
      if (isInputObjectType(parent)) addInputField(uses, parent, name.value)
    },
    EnumValue() {
      const value = types.getEnumValue()
      if (value?.deprecationReason) add(uses, getNamedType(types.getInputType())?.name ?? '', value.name)
    },
  })
  visit(document, visitor)
  return uses
}

type InputObject = Extract<ReturnType<typeof getNamedType>, { getFields(): object; isOneOf: boolean }>

function addInputField(uses: Uses, type: InputObject, name: string): void {
  if (type.getFields()[name]?.deprecationReason) add(uses, type.name, name)
}

/** Values of variables, as they came: not yet checked against their types. */
function addUsesIn(uses: Uses, given: GraphQLInputType, value: unknown): void {
  const type = getNamedType(given)
  if (Array.isArray(value)) {
    for (const item of value) addUsesIn(uses, type, item)
  } else if (isEnumType(type)) {
    if (typeof value === 'string' && type.getValue(value)?.deprecationReason) add(uses, type.name, value)
  } else if (isInputObjectType(type) && typeof value === 'object' && value !== null) {
    const fields = type.getFields()
    for (const [name, inner] of Object.entries(value)) {
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined
      if (!field) continue
      addInputField(uses, type, name)
      addUsesIn(uses, field.type, inner)
    }
  }
}
