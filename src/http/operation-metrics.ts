/**
 * Metrics of GraphQL operations: @envelop/prometheus, with labels that have an end.
 *
 * As it comes it labels with whatever name the client sends, with paths that hold list indexes, and it
 * takes the first definition of a document for its operation, which counts a fragment as an operation
 * of the type "undefined". Here the operation that runs gives both labels, the first 200 names are
 * kept, and there is neither a path, nor a summary, nor a hook around each resolver.
 */

import { createCounter, createHistogram, type FillLabelsFnParams, usePrometheus } from '@envelop/prometheus'
import { getOperationAST } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Counter, type Registry } from 'prom-client'
import { boundedLabel } from '../base/metrics.ts'
import type { LaneOperation } from '../graphql/compiled/types.ts'
import { deprecatedUses } from './deprecations.ts'
import type { CompiledRun } from './front.ts'

const OPERATION_NAMES_MAX = 200

const OPERATION_LABELS = ['operationType', 'operationName'] as const
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export interface OperationMetrics {
  /** Yoga's plugin, before all others: counts what resolvers run. */
  readonly plugin: Plugin
  /** Counts what a compiled plan has run, into the same series. */
  countCompiled(run: CompiledRun): void
}

/** Counts into `registry`. */
export function operationMetrics(registry: Registry): OperationMetrics {
  const bounded = boundedLabel(OPERATION_NAMES_MAX)
  const labels = labelsWith(bounded)
  const countDeprecated = deprecatedCounter(registry)
  const metrics = metricsOf(registry, labels)
  const { onParse, onValidate, onExecute } = usePrometheus({ registry, metrics })
  const plugin: Plugin = {
    ...(onParse && { onParse }),
    ...(onValidate && { onValidate }),
    onExecute(payload) {
      const { document, contextValue } = payload.args
      countDeprecated(payload.args, () => labels({ document }, contextValue))
      return onExecute?.(payload)
    },
  }
  return { plugin, countCompiled: compiledCounter(metrics, bounded, countDeprecated) }
}

function metricsOf(registry: Registry, fillLabelsFn: ReturnType<typeof labelsWith>) {
  const histogram = <P extends string>(name: string, help: string, phases: [P, ...P[]]) =>
    createHistogram<P, (typeof OPERATION_LABELS)[number]>({
      registry,
      histogram: { name, help, labelNames: [...OPERATION_LABELS], buckets: SECONDS },
      fillLabelsFn,
      phases,
    })
  const counter = <P extends string>(name: string, help: string, phases: [P, ...P[]]) =>
    createCounter<P, (typeof OPERATION_LABELS)[number]>({
      registry,
      counter: { name, help, labelNames: [...OPERATION_LABELS] },
      fillLabelsFn,
      phases,
    })
  return {
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
}

/** The series of one operation, found once. */
interface Series {
  readonly labels: Labels
  readonly ran: { inc(): void }
  readonly duration: { observe(seconds: number): void }
  readonly execution: { observe(seconds: number): void }
}

/** A compiled plan is not parsed or validated again, so it has no share in those phases. */
function compiledCounter(
  metrics: ReturnType<typeof metricsOf>,
  bounded: (name: string) => string,
  countDeprecated: CountDeprecated,
): (run: CompiledRun) => void {
  const known = new WeakMap<LaneOperation, Series>()
  const seriesOf = (operation: LaneOperation): Series => {
    const { kind, name } = operation
    const labels = { operationType: kind, operationName: name ? bounded(name) : 'anonymous' }
    const series = {
      labels,
      ran: metrics.graphql_envelop_request.counter.labels(labels),
      duration: metrics.graphql_envelop_request_duration.histogram.labels(labels),
      execution: metrics.graphql_envelop_phase_execute.histogram.labels(labels),
    }
    known.set(operation, series)
    return series
  }
  return ({ schema, operation, variables, seconds, errors }) => {
    const { labels, ran, duration, execution } = known.get(operation) ?? seriesOf(operation)
    ran.inc()
    duration.observe(seconds)
    execution.observe(seconds)
    if (errors > 0) metrics.graphql_envelop_error_result.counter.inc(labels, errors)
    const { document, name: operationName } = operation
    countDeprecated({ schema, document, operationName, variableValues: variables }, () => labels)
  }
}

type CountDeprecated = (args: Parameters<typeof deprecatedUses>[0], labels: () => Labels) => void

/** Counts operations by what they use that is deprecated; those labels are names of the schema. */
function deprecatedCounter(registry: Registry): CountDeprecated {
  const counter = new Counter({
    name: 'graphql_envelop_deprecated_field',
    help: 'Operations that use what is deprecated',
    labelNames: [...OPERATION_LABELS, 'typeName', 'fieldName'],
    registers: [registry],
  })
  return (args, labels) => {
    const uses = deprecatedUses(args)
    if (uses.length === 0) return
    const operation = labels()
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
