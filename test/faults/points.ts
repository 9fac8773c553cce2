import type { OnStep } from './postgres-watch.js';

/** A moment at which a process is killed: exactly before a durable step, or exactly after it, before it can know. */
export interface Point {
  readonly name: string;
  readonly app: 'reader' | 'writer';
  readonly store: 'postgres' | 'queue';
  readonly when: 'before' | 'after';
  /** Matches the statement, or the name of BullMQ's script. */
  readonly statement: RegExp;
  /** It comes there only when the configuration asks for other partitions than before. */
  readonly divides?: true;
}

type Step = Omit<Point, 'when'>;

const steps: readonly Step[] = [
  { app: 'reader', store: 'postgres', name: 'the reader lock is taken', statement: /pg_try_advisory_lock/ },
  { app: 'reader', store: 'postgres', name: 'the epoch is counted', statement: /^INSERT INTO afterimage\.readers/ },
  {
    app: 'reader',
    store: 'postgres',
    name: 'the offset is read',
    statement: /^select .*"checkpoint_gtid".* from "afterimage"\."offsets"/s,
  },
  {
    app: 'reader',
    store: 'postgres',
    name: 'the partitions are changed',
    statement: /^UPDATE afterimage\.streams SET partitions/,
    divides: true,
  },
  { app: 'reader', store: 'postgres', name: 'COMMIT', statement: /^COMMIT/, divides: true },
  {
    app: 'reader',
    store: 'queue',
    name: 'a batch is put into the queue',
    statement: /^addStandardJob$|SELECT add_job\(/,
  },
  { app: 'writer', store: 'queue', name: 'a job is fetched', statement: /^moveToActive$|move_to_active\(/ },
  { app: 'writer', store: 'postgres', name: 'BEGIN', statement: /^BEGIN/ },
  {
    app: 'writer',
    store: 'postgres',
    name: 'the offset is locked',
    statement: /FROM afterimage\.offsets\b.* FOR UPDATE/s,
  },
  { app: 'writer', store: 'postgres', name: 'the schema is changed', statement: /^(?:CREATE|ALTER) TABLE/ },
  {
    app: 'writer',
    store: 'postgres',
    name: 'the schema version is recorded',
    statement: /^INSERT INTO afterimage\.schema_versions/,
  },
  { app: 'writer', store: 'postgres', name: 'the rows are written', statement: /^WITH events/ },
  { app: 'writer', store: 'postgres', name: 'the offset is moved', statement: /^UPDATE afterimage\.offsets/ },
  { app: 'writer', store: 'postgres', name: 'COMMIT', statement: /^COMMIT/ },
  { app: 'writer', store: 'queue', name: 'the job is acknowledged', statement: /^moveToFinished$|move_to_completed/ },
];

/** Before and after each durable step of reader and writer. */
export const points: readonly Point[] = steps.flatMap(({ name, ...step }) =>
  (['before', 'after'] as const).map((when): Point => ({ ...step, when, name: `${step.app}: ${when} ${name}` })),
);

/** Waits for one process to come to a point; `strike` ends it there. */
export class Ambush {
  #armed: { readonly point: Point; readonly strike: () => void } | undefined;

  /** Resolves when the process was struck at the point. */
  arm(point: Point, kill: () => void): Promise<void> {
    return new Promise((resolve) => {
      const strike = (): void => {
        kill();
        resolve();
      };
      this.#armed = { point, strike };
    });
  }

  disarm(): void {
    this.#armed = undefined;
  }

  /** What watches a connection to one of the stores. */
  watch(store: Point['store']): OnStep {
    return (when, statement) => {
      const armed = this.#armed;
      if (armed === undefined) return 'pass';
      const { point } = armed;
      // With the queue in PostgreSQL its statements, too, are matched by what they say.
      if (point.when !== when || (store === 'queue' && point.store !== 'queue')) return 'pass';
      if (!point.statement.test(statement)) return 'pass';
      this.#armed = undefined;
      armed.strike();
      return 'drop';
    };
  }
}
