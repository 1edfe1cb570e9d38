// Cedar in a process of its own: its WebAssembly can abort Node, and then only this process ends. It
// answers each message {atAll, unasked, contexts} with, for each context, the decision and its reasons:
// those of `atAll` where it denies, else those of `unasked`.
import { getCedarVersion, preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs'

const uid = (type) => ({ type, id: 'any' })
const whoever = { principal: uid('Principal'), action: uid('Action'), resource: uid('Resource'), entities: [] }

function parse(name, staticPolicies) {
  const parsed = preparsePolicySet(name, { staticPolicies })
  if (parsed.type !== 'success') throw new Error(JSON.stringify({ errors: parsed.errors, staticPolicies }))
}

function ask(preparsedPolicySetId, context) {
  const given = statefulIsAuthorized({ ...whoever, context, preparsedPolicySetId })
  if (given.type !== 'success' || given.response.diagnostics.errors.length > 0) throw new Error(JSON.stringify(given))
  const { decision, diagnostics } = given.response
  return { question: preparsedPolicySetId, decision, reason: diagnostics.reason.sort() }
}

function answer(context) {
  const atAll = ask('atAll', context)
  return atAll.decision === 'deny' ? atAll : ask('unasked', context)
}

process.on('message', ({ contexts, ...sets }) => {
  try {
    for (const [name, policies] of Object.entries(sets)) parse(name, policies)
    process.send({ answers: contexts.map(answer) })
  } catch (error) {
    process.send({ error: String(error) })
  }
})
process.send({ version: getCedarVersion() })
