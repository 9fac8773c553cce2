import type { CdcMessage } from './messages.js';

/**
 *     registered ──request──▶ requested ──schema, row──▶ streaming
 *                    ▲            │
 *                    └──request── refused ◀── error      (refused ──row──▶ streaming: the table got its first row)
 */
export type RequestState = 'registered' | 'requested' | 'refused' | 'streaming';

/** The state after a message. Errors while streaming (an unknown command's answer) do not end the stream. */
export function nextRequestState(state: RequestState, message: CdcMessage): RequestState {
  switch (message.kind) {
    case 'schema':
    case 'row':
      return 'streaming';
    case 'error':
      return state === 'requested' ? 'refused' : state;
  }
}
