import type { Config } from '@afterimage/service';
import { judge } from './judge.js';
import { readFacts, type Scope } from './read-facts.js';
import { makeReport, type Report } from './report.js';

export { type Area, areas, type Finding, severities, type Severity } from './finding.js';
export { type AreaReport, type FindingGroup, groupFindings, isTroubled, type Report } from './report.js';
export type { Scope } from './read-facts.js';

export interface ExamineOptions extends Scope {
  /** For each server. */
  readonly timeoutMs: number;
}

/**
 * Looks at everything that a configuration names and says what is wrong with it. Nothing is changed anywhere. Never
 * rejects because of a server: one that is away is a finding. No text holds a password.
 */
export async function examine(config: Config, { timeoutMs, ...scope }: ExamineOptions): Promise<Report> {
  return makeReport(judge(await readFacts(config, scope, timeoutMs)));
}
