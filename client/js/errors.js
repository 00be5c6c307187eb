// What callers branch on when something did not work.

/** The server's codes that say: the same request may succeed later. */
const RETRY_FROM = 1_000;
const FINAL_FROM = 2_000;

/** `ID_EXPIRED` and `AUTH_INVALID`, by number: names are for people. */
export const AUTH_INVALID = 2_001;
export const ID_EXPIRED = 2_006;

/** These two say that nothing was done; other repeatable ones leave it open. */
const DONE_NOTHING = [1_001, 1_002];

/**
 * Why a request has no result.
 *
 * `code` is the server's (`NOT_FOUND`, `FORBIDDEN`, …) or one of the SDK's own, whose `number` is 0: `TIMED_OUT` (nothing
 * was changed), `UNKNOWN_OUTCOME` (it may have been carried out), `TOO_MANY_PENDING`, `TOO_LARGE`, `AHEAD_OF_SERVER`,
 * `UNSUBSCRIBED`, `USER_CHANGED`, `CLIENT_CLOSED`.
 */
export class SwitchyardError extends Error {
  constructor(code, message, { number = 0, retryAfterMs, since, closed, trace } = {}) {
    super(message);
    this.name = "SwitchyardError";
    this.code = code;
    this.number = number;
    /** The server's wish, if it had one. */
    this.retryAfterMs = retryAfterMs;
    /** For a message of unknown outcome: sent again under its id and with this, it is stored once. */
    this.since = since;
    /** For `CLIENT_CLOSED`: why. */
    this.closed = closed;
    /** For a refusal of one request: its name in the server's logs. */
    this.trace = trace;
  }
}

/** Thrown by a token provider to say that there will be no token: the user has logged out, say. The client closes. */
export class NoToken extends Error {
  constructor(message = "there is no token") {
    super(message);
    this.name = "NoToken";
  }
}

/** The server's refusal as an error. */
export function refusal(error) {
  const { code, message, number, retry_after_ms: retryAfterMs, trace } = error;
  return new SwitchyardError(code, message, { number, retryAfterMs, trace });
}

/** An error of the SDK's own. */
export function own(code, message, more) {
  return new SwitchyardError(code, message, more);
}

/** Whether the same request may succeed later. A number that this version does not know tells it by its range. */
export function isRetry(error) {
  return error.number >= RETRY_FROM && error.number < FINAL_FROM;
}

/** Whether the refusal says that nothing was done. */
export function didNothing(error) {
  return DONE_NOTHING.includes(error.number);
}

/** Whether a connection that was closed with this code may come again by itself. */
export function mayComeAgain(closeCode) {
  return !(closeCode >= 4_501 && closeCode <= 4_999);
}

export const CLOSE_TOKEN_EXPIRED = 4_006;
export const CLOSE_AUTH = 4_501;
