export { type BinlogFeed, type BinlogFeedOptions, startBinlogFeed } from './binlog-feed.js';
