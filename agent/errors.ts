/** Every way in which App Fleet itself can fail unexpectedly; the codes are stable and may be matched by scripts. */
export const errorCodes = {
  AF_BUS: 'the system bus could not be reached or went away',
  AF_UNIT_JOB: 'systemd could not carry out a job',
  AF_DOCKER: 'the Docker Engine refused or could not be reached',
  AF_NGINX: 'nginx refused its configuration or could not be reloaded',
  AF_FILE: 'a file could not be read or written',
  AF_LOCKED: 'another agent is already running on this host',
  AF_USAGE: 'the command line could not be understood',
  AF_CONFIG: 'the configuration has errors',
  AF_CA: 'the certificate authority refused or could not be reached',
  AF_CERTIFICATE: 'a certificate or key cannot be used',
  AF_CONSUL: 'Consul refused or could not be reached',
  AF_HOOK: 'a program of the admin failed',
  AF_API: 'the agent did not answer as expected',
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** Unexpected trouble: a stable code, what happened to whom, what to do about it, and the cause. */
export class AppFleetError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppFleetError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The message with what to do about it. */
export const inWords = (error: unknown): string =>
  error instanceof AppFleetError && error.hint !== undefined ? `${error.message} (${error.hint})` : messageOf(error);
