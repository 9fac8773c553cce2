import { startFakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { type Mix, columns, eventChunks } from './workload.js';

/** A process that serves one table; prints its address as one JSON line. Argument: the mix as JSON. */
const mix = JSON.parse(process.argv[2] ?? '') as Mix;
const chunks = [...eventChunks(mix)];
const server = await startFakeMaxScale({ chunking: 64 * 1024 });
const table = server.table('bench', 'orders');
table.create(columns);
table.source(() => chunks);
process.stdout.write(`${JSON.stringify(server.address)}\n`);
