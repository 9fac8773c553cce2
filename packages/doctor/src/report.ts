import { type Area, areas, type Finding, severities, type Severity } from './finding.js';

export interface Report {
  /** By area in the order of the data's way, in each the gravest first. */
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Record<Severity, number>>;
}

export function makeReport(findings: readonly Finding[]): Report {
  const ordered = [...findings].sort(
    (one, other) =>
      areas.indexOf(one.area) - areas.indexOf(other.area) ||
      severities.indexOf(one.severity) - severities.indexOf(other.severity),
  );
  const counts = Object.fromEntries(
    severities.map((severity) => [severity, ordered.filter((finding) => finding.severity === severity).length]),
  ) as Report['counts'];
  return { findings: ordered, counts };
}

/** Whether the command should end with a code that a script notices. */
export function isTroubled({ counts }: Report, { strict }: { readonly strict: boolean }): boolean {
  return counts.error > 0 || (strict && counts.warning + counts.unknown > 0);
}

/** Findings that say the same of several subjects. */
export interface FindingGroup extends Omit<Finding, 'subject' | 'detail'> {
  /** With what of them: `shop.orders (status)`. */
  readonly subjects: readonly string[];
}

export interface AreaReport {
  readonly area: Area;
  readonly groups: readonly FindingGroup[];
}

/** For people: the same words once, and areas with nothing to say left out. */
export function groupFindings({ findings }: Report, shown: readonly Severity[]): AreaReport[] {
  return areas.flatMap((area) => {
    const groups = new Map<string, FindingGroup>();
    for (const { subject: name, detail, ...finding } of findings) {
      if (finding.area !== area || !shown.includes(finding.severity)) continue;
      const subject = detail === null ? name : `${name} (${detail})`;
      const key = JSON.stringify([finding.check, finding.severity, finding.text]);
      const known = groups.get(key);
      groups.set(key, known === undefined ? { ...finding, subjects: [subject] } : merge(known, subject));
    }
    return groups.size === 0 ? [] : [{ area, groups: [...groups.values()] }];
  });
}

/** What is to be done for several is told of the first of them. */
function merge(group: FindingGroup, subject: string): FindingGroup {
  return group.subjects.includes(subject) ? group : { ...group, subjects: [...group.subjects, subject] };
}
