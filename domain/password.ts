/** What a password must be: long enough and not guessed first. No rules of composition, no expiry. */

/** In characters as people count them. */
export const shortestPassword = 8
export const longestPassword = 128

/** Why it may not be one; undefined when it may. `isCommon` is asked with the password in lower case. */
export function passwordProblem(password: string, { username, isCommon }: { username: string; isCommon: (lowerCase: string) => boolean }): string | undefined {
  const length = [...password].length
  if (length < shortestPassword) return `must have at least ${shortestPassword} characters; 15 or more are better`
  if (length > longestPassword) return `must have at most ${longestPassword} characters`
  const lowerCase = password.toLowerCase()
  if (isCommon(lowerCase)) return 'is among the passwords that are tried first: choose another'
  if (new Set(lowerCase).size < 4) return 'repeats a few characters: choose another'
  const left = [username, username.split('@')[0] ?? '', 'aegis'].filter((word) => word.length >= 3).reduce((rest, word) => rest.replaceAll(word, ''), lowerCase)
  return [...left].length < shortestPassword ? `must have at least ${shortestPassword} characters besides your name and \`aegis\`` : undefined
}
