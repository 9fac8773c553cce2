import { readFile } from 'node:fs/promises';

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The user to run a server as that refuses to run as root: undefined (this one) unless this process is root. Then
 * the server's own account if the system has it, else `nobody`; no user is created.
 */
export async function findUnprivilegedUser(server: string, account: string): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of [account, 'nobody']) {
    const fields = accounts.find(([user]) => user === name);
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new Error(
    `${server} does not run as root, and /etc/passwd has neither a user "${account}" nor "nobody" to run it as`,
  );
}
