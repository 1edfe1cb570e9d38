/**
 * Kleene's logic: what cannot be known stays unknown until something else settles the question.
 * The decision rule turns unknown into every restriction and no permission.
 */
export type Truth = true | false | 'unknown'

export const not = (a: Truth): Truth => (a === 'unknown' ? 'unknown' : !a)

export const and = (a: Truth, b: Truth): Truth => {
  if (a === false || b === false) return false
  return a === true && b === true ? true : 'unknown'
}

export const or = (a: Truth, b: Truth): Truth => not(and(not(a), not(b)))
