/**
 * The guards that keep an effect single, each with the one line that is it, what the code is like without that line,
 * and the test that then fails. A guard whose line has moved is an error here, so the table cannot rot.
 */
export type Guard = {
  guard: string
  file: string
  line: string
  without: string
  /** Of tests/crash/, or with its folder of tests/. */
  test: { file: string; name: string }
}

export const guards: readonly Guard[] = [
  {
    guard: 'the UID precondition of an eviction',
    file: 'adapters/kubernetes/mutations.ts',
    line: 'deleteOptions: { preconditions: { uid, resourceVersion } },',
    without: 'deleteOptions: { preconditions: { resourceVersion: uid === undefined ? uid : resourceVersion } },',
    test: { file: 'targets', name: 'restart_pod, in the audited body' },
  },
  {
    guard: 'the resourceVersion of a patch',
    file: 'adapters/kubernetes/mutations.ts',
    line: `  uid,
  resourceVersion,
  annotations:`,
    without: `  uid,
  ...(resourceVersion === '' ? { resourceVersion } : {}),
  annotations:`,
    test: { file: 'targets', name: 'someone else scaled it: theirs stands' },
  },
  {
    guard: 'the look at our own stamp',
    file: 'domain/actions/deployment.ts',
    line: `if (stamp) return { is: stamp === 'applied' ? 'done_by_us' : 'stopped' }`,
    without: `if (stamp === 'abandoned') return { is: 'stopped' }`,
    test: { file: 'targets', name: 'a rollback whose answer is lost is not rolled back again' },
  },
  {
    guard: 'the intent is committed before the call',
    file: 'activities/attempt.ts',
    line: `  const begun = await store.beginAttempt(db, { id, phase, planDigest, warrantId, claimToken })
  if (!begun.go) return refusedAttempt(begun.because)
  return afterSending(deps, input, begun.attempt, await send(deps, input, plan, situation, read))`,
    without: `  const sent = await send(deps, input, plan, situation, read)
  const begun = await store.beginAttempt(db, { id, phase, planDigest, warrantId, claimToken })
  if (!begun.go) return refusedAttempt(begun.because)
  return afterSending(deps, input, begun.attempt, sent)`,
    test: { file: 'outages', name: 'PostgreSQL lost at postgres beginAttempt: no call before it is back' },
  },
  {
    guard: 'the claim token',
    file: 'adapters/postgres/permission.ts',
    line: `if (!facts.claimed) return 'claim_lost'`,
    without: '',
    test: { file: 'forged', name: `with a claim token that is not the holder's changes nothing .guard: claim token.` },
  },
  {
    guard: 'the check of the warrant',
    file: 'activities/permission.ts',
    line: `if (typeof warrant === 'string') return { refused: warrant }`,
    without: `if (typeof warrant === 'string') return { plan }`,
    test: { file: 'forged', name: `to act with another remediation's warrant changes nothing .guard: warrant.` },
  },
  {
    guard: 'the fence before closing',
    file: 'activities/fence.ts',
    line: `const result = await cluster.fence(plan, id, 'abandoned', read)`,
    without: `const result = read.exists ? ('fenced' as Awaited<ReturnType<typeof cluster.fence>>) : 'gone'`,
    test: { file: 'lost-runs', name: 'a call that wakes up after its run was closed changes nothing .guard: fence. scale_deployment' },
  },
  {
    guard: 'the look at the terminal row',
    file: 'adapters/postgres/close.ts',
    line: 'if (standing) return { closed: false, ending: standing }',
    without: '',
    test: { file: 'forged', name: 'to close writes no second terminal row .guard: terminal row.' },
  },
  {
    guard: 'the verdict behind an undo',
    file: 'activities/issue-warrant.ts',
    line: 'if (!calledFor) throw',
    without: 'if (digest === undefined) throw',
    test: { file: 'forged', name: 'to take back a change that nobody found wanting gets no warrant .guard: verdict.' },
  },
  {
    guard: 'what Temporal says of a run that is said to be lost',
    file: 'activities/close.ts',
    line: 'const ending = firstRunId === null ? await endingAsSeen(deps, id) : asked',
    without: 'const ending = asked',
    test: { file: 'forged', name: 'to close what is at work, as the reconciler and bound to nothing, is refused .guard: a run that is alive.' },
  },
  {
    guard: 'the row behind an ending',
    file: 'adapters/postgres/close.ts',
    line: "if (outcome === 'declined' && !rejected) return false",
    without: '',
    test: { file: 'forged', name: 'to close as declined, under the name of the bound run, goes to a person when no row says so .guard: rows of an ending.' },
  },
  {
    guard: 'what the attempt sees is still wrong with the target',
    file: 'activities/attempt.ts',
    line: "if (phase === 'act' && fault !== null && hasRecovered(",
    without: "if (phase === 'undo' && fault !== null && hasRecovered(",
    test: { file: 'targets', name: 'what was wrong is so no more when the attempt looks .guard: recovered. a pod that has become ready is not evicted' },
  },
  {
    guard: 'what a person asks for is no fault that could be gone',
    file: 'activities/permission.ts',
    line: 'return { plan, fault }',
    without: "return { plan, fault: fault ?? 'stuck_pod' }",
    test: { file: 'targets', name: 'what was wrong is so no more when the attempt looks .guard: recovered. what a person asks for is done all the same' },
  },
  {
    guard: 'the signature over a request',
    file: 'domain/request-signature/signature.ts',
    line: `if (!verify()) return 'signature_invalid'`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 5 one bit of the body, digest made to fit' },
  },
  {
    guard: 'the digest of a signed body',
    file: 'api/callers.ts',
    line: `if (!hasDigest(body, claimed.digest)) throw signatureProblem('digest_mismatch')`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 9 replicas 5 to 50' },
  },
  {
    guard: 'the nonce of a signature, spent with the acceptance',
    file: 'adapters/postgres/requests.ts',
    line: 'await spendNonce(trx, signature, draft.id)',
    without: '',
    test: { file: 'integration/signatures', name: 'S1 22 an exact replay is refused, and is on record' },
  },
  {
    guard: 'what a signature covers',
    file: 'domain/request-signature/signature.ts',
    line: `if (input.components.length !== due.length || input.components.some((name, at) => name !== due[at])) return 'signature_coverage'`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 33 a header that is not covered' },
  },
  {
    guard: 'one signature, not two',
    file: 'domain/request-signature/signature.ts',
    line: `if (inputs.length > 1 || signatures.length > 1) return 'signature_ambiguous'`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 33 two `Signature` headers' },
  },
  {
    guard: 'a signature or an API key, not both',
    file: 'api/callers.ts',
    line: `if (beside) throw signatureProblem('two_credentials')`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 33 an API key beside it' },
  },
  {
    guard: 'the installation a signature is for',
    file: 'domain/request-signature/signature.ts',
    line: `if (claimed.audience !== at.audience || !key.audiences.includes(at.audience)) return 'signature_audience'`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 20 signed for another installation' },
  },
  {
    guard: 'a signature from the future',
    file: 'domain/request-signature/signature.ts',
    line: `if (claimed.createdS * 1_000 > at.nowMs + skewS * 1_000) return 'signature_not_yet_valid'`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 26 made in the future' },
  },
  {
    guard: 'a signature that expires on its way to the database',
    file: 'migrations/0019_caller_keys.ts',
    line: 'if new.expires_at <= clock_timestamp() then',
    without: 'if new.expires_at is null then',
    test: { file: 'integration/caller-keys', name: 'nonces a signature that expired on its way to the database brings no request' },
  },
  {
    guard: 'how long the nonce of a signature is kept',
    file: 'migrations/0019_caller_keys.ts',
    line: `where f.expires_at < clock_timestamp() - interval '1 minute'`,
    without: '',
    test: { file: 'integration/caller-keys', name: 'nonces are forgotten after their signature has expired, a bounded number at a time, and never before' },
  },
  {
    guard: 'the algorithm of a key, whatever a signature says',
    file: 'domain/request-signature/signature.ts',
    line: `if (claimed.algorithm !== key.algorithm) return 'signature_algorithm'`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 32 a public key taken for a secret' },
  },
  {
    guard: 'that a key is revoked, for its next signature',
    file: 'domain/request-signature/signature.ts',
    line: `if (state === 'revoked') return 'signature_key_revoked'`,
    without: '',
    test: { file: 'integration/signatures', name: 'S1 30 a revoked key is refused from its next call on, and so is one that is not in use yet' },
  },
  {
    guard: 'what the key of a signature is good for',
    file: 'api/accept.ts',
    line: 'if (outside) throw boundsProblem(outside)',
    without: '',
    test: { file: 'integration/signatures', name: 'S1 35 a valid signature of a key that is not good for so many replicas' },
  },
  {
    guard: 'the second look at a key whose signed body came slowly',
    file: 'api/callers.ts',
    line: 'if (performance.now() - askedMs > freshForMs) await judged(claimed, callers, audience, () => true)',
    without: '',
    test: { file: 'integration/caller-keys', name: 'a key that is revoked, or a signature that expires, while its body comes slowly is refused' },
  },
  {
    guard: 'how many refused signatures fill the ledger',
    file: 'api/signature-refusals.ts',
    line: 'if (!key || entries >= mostEntries) return',
    without: 'if (!key) return',
    test: { file: 'integration/caller-keys', name: 'signatures that name no key of ours whoever knows a key id cannot fill the ledger with it' },
  },
  {
    guard: 'the second look at a change of policies that grants more',
    file: 'adapters/policies/publish.ts',
    line: `if (change.review && !(await change.review({ before: base, after: prepared.snapshot, documents: prepared.documents, edits: prepared.edits }))) return { published: false, refused: heldBack }`,
    without: '',
    test: { file: 'integration/policy-changes', name: 'a change that lets more happen is kept with a request that shows it, and is in force once another person agrees' },
  },
  {
    guard: 'that nobody agrees to their own change of policies',
    file: 'api/policy-changes.ts',
    line: `if (change.author.owner === principal.owner) throw conflict(`,
    without: `if (change.author.id === principal.id && change.id === '') throw conflict(`,
    test: { file: 'integration/policy-changes', name: 'nobody agrees to their own change, by whatever key, in the database neither; what is settled stays so' },
  },
  {
    guard: 'the second person, in the database',
    file: 'migrations/0023_policy_changes.ts',
    line: `check (state <> 'agreed' or decided_owner <> owner)`,
    without: 'check (true)',
    test: { file: 'integration/policy-changes', name: 'nobody agrees to their own change, by whatever key, in the database neither; what is settled stays so' },
  },
  {
    guard: 'the version that an agreement to a change of policies is about',
    file: 'api/policy-wanted.ts',
    line: `if (known.version !== version) throw conflict(`,
    without: `if (known.version < 0) throw conflict(`,
    test: { file: 'integration/policy-changes', name: 'an agreement is to what was looked at: where a version moved, or a test fails by now, nothing is published and it stays open' },
  },
  {
    guard: 'what Git managed when files were sent that somebody agrees to later',
    file: 'api/policy-wanted.ts',
    line: 'if (wanted.files && besides.agreedBy) unmoved(base, wanted)',
    without: '',
    test: { file: 'integration/policy-changes', name: 'files of a pipeline that grant wait whole, and stand for what Git managed when they were sent' },
  },
  {
    guard: 'that what cannot be compared counts as granting',
    file: 'domain/policy/grants.ts',
    line: 'return effort.open ? tooLarge(',
    without: 'return effort.left === Infinity ? tooLarge(',
    test: { file: 'integration/policy-changes', name: 'more of an allow, a deny taken back, an older version and an expression each take two' },
  },
]
