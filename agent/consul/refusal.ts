import { AppFleetError } from '../errors.ts';

/** Whether Consul answered that this one thing is wrong (400), so that all else may go on; a token that it refuses is no such thing. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof AppFleetError &&
  error.cause instanceof Error &&
  'statusCode' in error.cause &&
  error.cause.statusCode === 400;
