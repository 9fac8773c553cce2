/** `unknown`: it could not be looked at; the text says why. `ok`: it was, and is as it should be. */
export const severities = ['error', 'warning', 'unknown', 'notice', 'ok'] as const;
export type Severity = (typeof severities)[number];

/** The parts of a replica, in the order in which data passes them. */
export const areas = ['MariaDB', 'tables', 'MaxScale', 'queue', 'PostgreSQL', 'Afterimage'] as const;
export type Area = (typeof areas)[number];

/** One thing that was looked at. */
export interface Finding {
  /** Names the check, for scripts: `binlog-format`. It stays the same whatever the texts say. */
  readonly check: string;
  readonly severity: Severity;
  readonly area: Area;
  /** What it is about: `source shop`, `shop.orders`, `Redis`. */
  readonly subject: string;
  /** What of it: names of columns. */
  readonly detail: string | null;
  /** What was found, and what it means where that is not plain. */
  readonly text: string;
  /** What to do: a statement or command where there is one. Null when there is nothing to do. */
  readonly fix: string | null;
}

/** A finding without what all findings of one check share. */
export type Outcome = Pick<Finding, 'severity' | 'text'> & { readonly fix?: string; readonly detail?: string };

export const ok = (text: string): Outcome => ({ severity: 'ok', text });
export const notice = (text: string, fix?: string | null): Outcome => outcome('notice', text, fix ?? undefined);
export const warning = (text: string, fix?: string): Outcome => outcome('warning', text, fix);
export const failure = (text: string, fix?: string): Outcome => outcome('error', text, fix);
export const unknown = (text: string, fix?: string): Outcome => outcome('unknown', text, fix);

function outcome(severity: Severity, text: string, fix: string | undefined): Outcome {
  return { severity, text, ...(fix === undefined ? {} : { fix }) };
}

/**
 * One check: a pure function of facts. `null` when it does not apply, one outcome, or several. Whoever adds one puts it
 * into the list of its file; running, grouping and printing are the same for all.
 */
export interface Check<Facts> {
  readonly name: string;
  readonly look: (facts: Facts) => Outcome | readonly Outcome[] | null;
}

export interface Place {
  readonly area: Area;
  readonly subject: string;
}

/** The findings of `checks` on one subject. */
export function runChecks<Facts>(checks: readonly Check<Facts>[], facts: Facts, place: Place): Finding[] {
  return checks.flatMap(({ name, look }) =>
    listOutcomes(look(facts)).map(({ severity, text, fix = null, detail = null }) => ({
      check: name,
      severity,
      ...place,
      detail,
      text,
      fix,
    })),
  );
}

function listOutcomes(found: Outcome | readonly Outcome[] | null): readonly Outcome[] {
  if (found === null) return [];
  return 'severity' in found ? [found] : found;
}
