/** One sentence about one fault: where it is, what it is, what to do. */
export type Finding = string

/** One thing `npm run check` holds to. `run` gets the checkout's directory and never throws for a fault it looks for. */
export type Check = {
  name: string
  run(root: string): Promise<Finding[]>
}
