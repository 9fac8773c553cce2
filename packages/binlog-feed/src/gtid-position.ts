import { parseGtid } from '@afterimage/cdc-protocol/testing';

/** Per domain the last transaction, as MariaDB's @@gtid_binlog_pos writes it: `0-1-7,1-1-3`. */
export class GtidPosition {
  readonly #last = new Map<bigint, { readonly text: string; readonly sequence: bigint }>();

  /** Throws RangeError unless the text is a list of GTIDs; it may be empty. */
  static parse(text: string): GtidPosition {
    const position = new GtidPosition();
    for (const gtid of text.split(',')) if (gtid.trim() !== '') position.advance(gtid.trim());
    return position;
  }

  advance(gtid: string): void {
    const { domain, sequence } = parseGtid(gtid);
    this.#last.set(BigInt(domain), { text: gtid, sequence: BigInt(sequence) });
  }

  /** Whether every domain of the other one is here as far as there, or farther. */
  covers(other: GtidPosition): boolean {
    return [...other.#last].every(([domain, { sequence }]) => (this.#last.get(domain)?.sequence ?? -1n) >= sequence);
  }

  toString(): string {
    return [...this.#last.values()].map(({ text }) => text).join(',');
  }
}
