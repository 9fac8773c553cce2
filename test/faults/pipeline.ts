import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceProcess } from '../replay/service-process.js';

export const roles = ['reader', 'writer-1', 'writer-2'] as const;
/** `reader-2` is there only after a fault called for it. */
export type Role = (typeof roles)[number] | 'reader-2';

/** Reader and writers of one run as processes. */
export class Pipeline {
  readonly #processes = new Map<Role, ServiceProcess>();
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Each process has a configuration of its own: it reaches the servers its own way. */
  static async start(configOf: (role: Role) => unknown): Promise<Pipeline> {
    const pipeline = new Pipeline(await mkdtemp(join(tmpdir(), 'afterimage-faults-')));
    await pipeline.configure(configOf);
    for (const role of roles) pipeline.launch(role);
    return pipeline;
  }

  /** Whoever is launched from now on has this configuration. */
  async configure(configOf: (role: Role) => unknown): Promise<void> {
    for (const role of [...roles, 'reader-2'] as const) {
      await writeFile(this.#configPath(role), JSON.stringify(configOf(role)));
    }
  }

  #configPath(role: Role): string {
    return join(this.#folder, `${role}.yaml`);
  }

  /** Does nothing where the process runs already. */
  launch(role: Role): void {
    if (this.#processes.get(role)?.ended === false) return;
    this.#processes.set(
      role,
      new ServiceProcess(role.startsWith('reader') ? 'reader' : 'writer', this.#configPath(role)),
    );
  }

  /** SIGKILL, at this very moment. `kill` waits until the process is gone. */
  strikeDown(role: Role): void {
    this.#processes.get(role)?.signal('SIGKILL');
  }

  async kill(role: Role): Promise<void> {
    const process = this.#processes.get(role);
    this.#processes.delete(role);
    await process?.kill();
  }

  /** SIGTERM. Resolves with its exit code. */
  async stop(role: Role): Promise<number | null> {
    const process = this.#processes.get(role);
    this.#processes.delete(role);
    return process === undefined ? null : process.stop();
  }

  /** SIGSTOP. Returns how to wake up that very process, whatever became of the role meanwhile. */
  freeze(role: Role): () => void {
    const process = this.#processes.get(role);
    process?.signal('SIGSTOP');
    return () => process?.signal('SIGCONT');
  }

  /** Processes that ended by themselves, with the end of their output. */
  get ended(): string[] {
    return [...this.#processes].filter(([, process]) => process.ended).map(([role]) => `${role} ended by itself`);
  }

  /** Of what each process wrote: its errors, which tell why one ended by itself, and the end. */
  get output(): string {
    return [...this.#processes]
      .map(([role, { output }]) => {
        const errors = output.split('\n').filter((line) => line.includes('"level":"error"'));
        return [`${role}:`, ...errors, '…', output.slice(-2_500)].join('\n');
      })
      .join('\n');
  }

  /** Ends all at once. */
  async close(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process.kill()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
