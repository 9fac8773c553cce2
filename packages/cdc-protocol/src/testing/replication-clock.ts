import { parseGtid, type Gtid } from './wire-messages.js';

/** Hands out GTIDs as a MariaDB primary does: per domain one more each time. */
export class ReplicationClock {
  /** Domain and server id of GTIDs from now on; change them to play a failover. */
  domain = 0;
  serverId = 1;
  readonly #sequences = new Map<bigint, bigint>();

  next(): Gtid {
    const domain = BigInt(this.domain);
    const sequence = (this.#sequences.get(domain) ?? 0n) + 1n;
    this.#sequences.set(domain, sequence);
    return { domain, serverId: this.serverId, sequence };
  }

  /** Uses the given GTID; later ones of its domain come after it. */
  use(text: string): Gtid {
    const gtid = parseGtid(text);
    const domain = BigInt(gtid.domain);
    const sequence = BigInt(gtid.sequence);
    const last = this.#sequences.get(domain) ?? 0n;
    this.#sequences.set(domain, sequence > last ? sequence : last);
    return gtid;
  }

  take(gtid: string | undefined): Gtid {
    return gtid === undefined ? this.next() : this.use(gtid);
  }
}
