/** Milliseconds. Longer than BullMQ lets Redis wait for a job, which is 10 s at most. */
export const defaultAnswerMs = 15_000;
