/** Thrown where the compiled lane cannot go on: the resolver lane takes the operation, and tells what is wrong with it. */
export class StepBack extends Error {
  override readonly name = 'StepBack'
}
