/** What the demo tells its source. */
export type SourceOrder =
  | { readonly kind: 'start'; readonly seconds: number; readonly rate: number }
  /** Stop the workload now. */
  | { readonly kind: 'stop' };

/** What the source tells the demo. */
export type SourceReport =
  | { readonly kind: 'ready'; readonly port: number; readonly sent: SentCounts }
  | { readonly kind: 'progress'; readonly sent: SentCounts }
  | { readonly kind: 'altered'; readonly statement: string }
  /** The workload is over and the expectations are written. */
  | { readonly kind: 'finished'; readonly sent: SentCounts };

/** `database.table` → events committed at the source since the start. */
export type SentCounts = Readonly<Record<string, number>>;

export const sourceUser = 'demo';
export const sourcePassword = 'demo-password';
