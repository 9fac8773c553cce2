import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chown, mkdir, open, rm, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const megabytes = 256;

/** A disk of its own in memory (tmpfs) that can be made full. Only root may mount one. */
export class SmallDisk {
  readonly path: string;
  readonly #mountPoint: string;
  readonly #watch: ChildProcess;

  private constructor(mountPoint: string) {
    this.#mountPoint = mountPoint;
    this.#watch = unmountWithThisProcess(mountPoint);
    this.path = join(mountPoint, 'space');
  }

  /** Null, with a line that says so, where mounting is not allowed. */
  static async make(mountPoint: string): Promise<SmallDisk | null> {
    await mkdir(mountPoint, { recursive: true });
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=711`, 'tmpfs', mountPoint]);
    } catch {
      process.stderr.write('SKIPPED: the fault "disk full" (it takes a mounted tmpfs, which only root may have)\n');
      return null;
    }
    const disk = new SmallDisk(mountPoint);
    await mkdir(disk.path, { mode: 0o700 });
    return disk;
  }

  /** To whom that file or folder belongs. */
  async give(like: string): Promise<void> {
    const { uid, gid } = await stat(like);
    await chown(this.path, uid, gid);
  }

  async fill(): Promise<void> {
    const file = await open(this.#filling, 'w');
    try {
      const block = Buffer.alloc(1024 * 1024);
      for (;;) await file.write(block);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOSPC') throw error;
    } finally {
      await file.close();
    }
  }

  async empty(): Promise<void> {
    await rm(this.#filling, { force: true });
  }

  async remove(): Promise<void> {
    await run('umount', ['--lazy', this.#mountPoint]).catch(() => undefined);
    await rm(this.#mountPoint, { recursive: true, force: true });
    this.#watch.stdin?.end();
  }

  get #filling(): string {
    return join(this.#mountPoint, 'filling');
  }
}

/** A shell that waits for the end of a pipe which only this process holds, however that ends. */
function unmountWithThisProcess(mountPoint: string): ChildProcess {
  const script = 'read -r line; umount -l "$1" && rm -rf -- "$1"';
  const watch = spawn('/bin/sh', ['-c', script, 'sh', mountPoint], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  if (watch.stdin instanceof Socket) watch.stdin.unref();
  watch.unref();
  return watch;
}
