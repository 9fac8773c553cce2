import { parseRowPrefixAt } from '../row-prefix.js';
import type { StartRule } from './client-commands.js';

/**
 * Offset of the first row in a block of whole lines from which a stream is sent, or -1. The rule of
 * avrorouter: `sequence >= G.sequence && server_id == G.server_id && domain == G.domain`, on the file's signed
 * 32-bit values taken as unsigned 64-bit ones; so a sequence that has wrapped negative is above every other.
 */
export function findStart(lines: Buffer, start: StartRule): number {
  if (start.kind === 'beginning') return 0;
  if (start.kind !== 'gtid') return -1;
  // One character per byte, so that offsets in the text are offsets in the block.
  const text = lines.toString('latin1');
  for (let at = 0; at < text.length; at = nextLine(text, at)) {
    const { domain, serverId, sequence } = parseRowPrefixAt(text, at);
    if (widen(sequence) >= start.sequence && widen(serverId) === start.serverId && widen(domain) === start.domain) {
      return at;
    }
  }
  return -1;
}

function nextLine(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end === -1 ? text.length : end + 1;
}

function widen(value: number): bigint {
  return BigInt.asUintN(64, BigInt(value | 0));
}
