// Asks a process of this container whether it is ready: `node health.mjs http://127.0.0.1:9090/ready`.
const answer = await fetch(process.argv[2], { signal: AbortSignal.timeout(4000) }).catch((failure) => failure)
if (answer.ok) process.exit(0)
console.error(answer instanceof Error ? answer.message : `${answer.status} ${(await answer.text()).slice(0, 500)}`)
process.exit(1)
