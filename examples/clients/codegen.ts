/**
 * GraphQL Code Generator with the client preset: types of each document out of the committed schema.
 *
 *     cd examples/clients && npx graphql-codegen --config codegen.ts
 */

import type { CodegenConfig } from '@graphql-codegen/cli'

/**
 * What scalars are in TypeScript: the JSON that they travel as. That is text for nearly all of them, also for
 * exact numbers and moments, of which JavaScript's numbers and dates would lose digits.
 */
export const scalars = {
  BigInt: { input: 'string | number', output: 'string' },
  Decimal: { input: 'string | number', output: 'string' },
  JSON: 'unknown',
}
export const defaultScalarType = 'string'

export default {
  schema: '../../schema.graphql', // where the schema is committed in your project
  documents: ['*.ts', '!relay.ts'], // Relay has a compiler of its own
  importExtension: '.ts', // Node takes the generated files as they are, and so do bundlers
  generates: {
    '.generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        scalars,
        defaultScalarType,
        enumsAsTypes: true, // values as text: a new one in the schema does not break the build
        useTypeImports: true,
      },
    },
  },
} satisfies CodegenConfig
