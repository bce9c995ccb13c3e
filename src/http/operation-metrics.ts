/**
 * Metrics of GraphQL operations: @envelop/prometheus, with labels that have an end.
 *
 * As it comes it labels with whatever name the client sends, with paths that hold list indexes, and it
 * takes the first definition of a document for its operation, which counts a fragment as an operation
 * of the type "undefined". Here the operation that runs gives both labels, the first 200 names are
 * kept, and there is neither a path, nor a summary, nor a hook around each resolver.
 */

import { createCounter, createHistogram, type FillLabelsFnParams, usePrometheus } from '@envelop/prometheus'
import { type ExecutionArgs, getOperationAST } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Counter, type Registry } from 'prom-client'
import { boundedLabel } from '../base/metrics.ts'
import { deprecatedUses } from './deprecations.ts'

const OPERATION_NAMES_MAX = 200

const OPERATION_LABELS = ['operationType', 'operationName'] as const
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Counts into `registry`. Yoga's plugin, before all others. */
export function operationMetrics(registry: Registry): Plugin {
  const labels = labelsWith(boundedLabel(OPERATION_NAMES_MAX))
  const histogram = <P extends string>(name: string, help: string, phases: [P, ...P[]]) =>
    createHistogram<P, (typeof OPERATION_LABELS)[number]>({
      registry,
      histogram: { name, help, labelNames: [...OPERATION_LABELS], buckets: SECONDS },
      fillLabelsFn: labels,
      phases,
    })
  const counter = <P extends string>(name: string, help: string, phases: [P, ...P[]]) =>
    createCounter<P, (typeof OPERATION_LABELS)[number]>({
      registry,
      counter: { name, help, labelNames: [...OPERATION_LABELS] },
      fillLabelsFn: labels,
      phases,
    })
  const metrics = {
    graphql_envelop_request: counter('graphql_envelop_request', 'Operations that ran', ['execute']),
    graphql_envelop_request_duration: histogram(
      'graphql_envelop_request_duration',
      'Seconds from parsing to the answer',
      ['execute'],
    ),
    graphql_envelop_phase_parse: histogram('graphql_envelop_phase_parse', 'Seconds of parsing', ['parse']),
    graphql_envelop_phase_validate: histogram('graphql_envelop_phase_validate', 'Seconds of validation', [
      'validate',
    ]),
    graphql_envelop_phase_execute: histogram('graphql_envelop_phase_execute', 'Seconds of execution', [
      'execute',
    ]),
    graphql_envelop_error_result: counter('graphql_envelop_error_result', 'Errors, by operation', [
      'parse',
      'validate',
      'execute',
    ]),
  }
  const { onParse, onValidate, onExecute } = usePrometheus({ registry, metrics })
  const countDeprecated = deprecatedCounter(registry, labels)
  return {
    ...(onParse && { onParse }),
    ...(onValidate && { onValidate }),
    onExecute(payload) {
      countDeprecated(payload.args)
      return onExecute?.(payload)
    },
  }
}

/** Counts operations by what they use that is deprecated; those labels are names of the schema. */
function deprecatedCounter(
  registry: Registry,
  labels: ReturnType<typeof labelsWith>,
): (args: ExecutionArgs) => void {
  const counter = new Counter({
    name: 'graphql_envelop_deprecated_field',
    help: 'Operations that use what is deprecated',
    labelNames: [...OPERATION_LABELS, 'typeName', 'fieldName'],
    registers: [registry],
  })
  return (args) => {
    const uses = deprecatedUses(args)
    if (uses.length === 0) return
    const operation = labels({ document: args.document }, args.contextValue)
    for (const use of uses) counter.inc({ ...operation, ...use })
  }
}

type Labels = Record<(typeof OPERATION_LABELS)[number], string>

function labelsWith(
  bounded: (name: string) => string,
): (params: FillLabelsFnParams, context: unknown) => Labels {
  return ({ document }, context) => {
    const operation = document && getOperationAST(document, operationNameIn(context))
    return {
      operationType: operation?.operation ?? 'none',
      operationName: operation?.name ? bounded(operation.name.value) : 'anonymous',
    }
  }
}

function operationNameIn(context: unknown): string | undefined {
  const { params } = (context ?? {}) as { params?: { operationName?: string } }
  return params?.operationName
}
