// Asks the process in this container whether it is healthy. Exit code 0 = yes, 1 = no.
const port = process.env['AFTERIMAGE_HEALTH_PORT'];
if (port !== undefined && port !== '') {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(4000) });
    if (!response.ok) process.exitCode = 1;
  } catch {
    process.exitCode = 1;
  }
}
