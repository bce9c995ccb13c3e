/**
 * GraphQL Code Generator with the client preset: types of each document out of the committed schema.
 *
 *     npx graphql-codegen --config examples/clients/codegen.ts
 */

import type { CodegenConfig } from '@graphql-codegen/cli'

/**
 * What each scalar is in TypeScript: its JSON. Exact numbers and moments are text, because JavaScript's numbers
 * and dates would lose digits of them; where a number is taken as input, the type says so.
 */
const text = 'string'
const numberText = { input: 'string | number', output: 'string' }
export const scalars = {
  BigInt: numberText,
  Bytes: text,
  Date: text,
  DateTime: text,
  Decimal: numberText,
  Interval: text,
  JSON: 'unknown',
  PgText: text,
  Time: text,
  UUID: text,
}

export default {
  schema: '../../schema.graphql',
  documents: ['apollo.ts', 'preset.ts', 'urql.ts'],
  generates: {
    '.generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        scalars,
        strictScalars: true, // a scalar that is missing above is an error, not `any`
        enumsAsTypes: true, // values as text: a new one in the schema does not break the build
        useTypeImports: true,
      },
    },
  },
} satisfies CodegenConfig
