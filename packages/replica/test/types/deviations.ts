export interface Deviation {
  /** What comes out instead of what was inserted; undefined = what was inserted. */
  readonly text?: string | null;
  /** Whether the value is counted as lost or bent. */
  readonly lost: boolean;
}

export interface Place {
  readonly name: string;
  readonly literal: string;
  readonly folder: string;
  readonly known: string;
}

export function bentByStream(_: Place): Deviation | null {
  return null;
}
