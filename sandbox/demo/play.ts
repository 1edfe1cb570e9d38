import { mutationsBy } from '../audit.ts'
import { isClosed, type RemediationView } from './aegis-api.ts'
import { namespaceOf, type Incident, type Stage } from './incidents.ts'
import type { Played } from './report.ts'

/** Plays one incident to its end and holds it against what was promised, the audit log being the judge. */
export async function play(stage: Stage, incident: Incident, auditLog: string, tell: (line: string) => void): Promise<Played> {
  const begun = Date.now()
  const seconds = () => Math.round((Date.now() - begun) / 100) / 10
  try {
    const id = await incident.happen(stage, tell)
    const view = await stage.admin.follow(id, isClosed, (seen) => tell(seen.phase === 'closed' ? endingLine(seen) : seen.phase))
    const problems = differences(incident, view.outcome, view.verdict)
    const mutations = mutationsBy({ auditLog }, { userAgentPrefix: 'aegis-executor/', namespace: namespaceOf(incident.id) }).length
    if (mutations !== incident.expect.mutations) problems.push(`the audit log shows ${mutations} mutations, not ${incident.expect.mutations}`)
    await incident.check?.(stage, view).catch((failure: unknown) => problems.push(sentence(failure)))
    return { incident, view, problems, seconds: seconds() }
  } catch (failure) {
    return { incident, view: undefined, problems: [sentence(failure)], seconds: seconds() }
  }
}

function differences({ expect }: Incident, outcome: string | null, verdict: string | null): string[] {
  const problems: string[] = []
  if (outcome !== expect.outcome) problems.push(`ended \`${outcome}\`, not \`${expect.outcome}\``)
  if (verdict !== expect.verdict) problems.push(`verdict \`${verdict}\`, not \`${expect.verdict}\``)
  return problems
}

const sentence = (failure: unknown): string => (failure instanceof Error ? failure.message : String(failure))

/** Policies begin their message with what they say. */
function endingLine({ outcome, message }: RemediationView): string {
  return message?.startsWith(outcome ?? '') ? message : `${outcome}: ${message}`
}
