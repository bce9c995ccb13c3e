/**
 * Validation as the mode wants it: production tells no names of the schema to who does not know them.
 *
 * The rules are the same for every tenant and request. Yoga remembers a verdict by document and the
 * names of the rules, so a rule that looked at a tenant's plan would be decided by whoever came first.
 */

import { NoSchemaIntrospectionCustomRule, validate } from 'graphql'
import type { Plugin } from 'graphql-yoga'

// Enough to mend a document by; graphql-js's own 100 make an answer of 30 kB out of 1,000 tokens.
const ERRORS_MAX = 20

/** Without introspection and 'Did you mean' in production. Values of variables: `finishErrors`. */
export function validationPlugin(mode: 'development' | 'production'): Plugin {
  const production = mode === 'production'
  const options = { maxErrors: ERRORS_MAX, hideSuggestions: production }
  return {
    onValidate({ addValidationRule, setValidationFn }) {
      if (production) addValidationRule(NoSchemaIntrospectionCustomRule)
      setValidationFn((schema, document, rules) => validate(schema, document, rules, options))
    },
  }
}
