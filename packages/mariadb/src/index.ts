export { parseMariadbUrl } from './connection-config.js';
