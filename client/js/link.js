// The connection: getting a token, connecting, saying hello, noticing silence, moving away from a draining server, coming
// again after a loss, and ending.

import { AUTH_INVALID, CLOSE_AUTH, CLOSE_TOKEN_EXPIRED, isRetry, mayComeAgain, own } from "./errors.js";
import {
  ATTEMPTS_AFTER_WELCOME_MAX, BODY_BYTES_MAX, CONNECT_TIMEOUT, HEARTBEAT, IN_FLIGHT_UNTIL_WELCOME, MOVE_GRACE,
  POSITIONS_MAX, PROBE_TIMEOUT, RECONNECT_BASE, RECONNECT_CAP, RENEW_PAUSE_MAX, RENEW_PAUSE_MIN, RENEW_TIMEOUT,
  STABLE_AFTER, TOKEN_FRESH, TOKEN_TIMEOUT,
} from "./limits.js";
import { between, pause } from "./timers.js";

/** Timers that end with a connection. */
const OF_CONNECTION = ["quiet", "probe", "move", "moveNow", "renew", "fetch", "unsubscribe"];

export class Link {
  /** idle, waiting (for the next attempt), token, connecting, greeting (hello is sent), live, closed. */
  phase = "idle";
  /** What the server calls the present connection's session. */
  session = "";
  /** Which connection: what is said of an earlier one comes too late to matter. */
  connection = 0;
  /** Nothing new is sent; once the answers are here, another connection is made. */
  moving = false;
  closing = false;
  heardAt = 0;
  /** User and tenant of the first welcome. */
  identity = null;
  limits = { inFlight: IN_FLIGHT_UNTIL_WELCOME, bodyBytes: BODY_BYTES_MAX, frameBytes: 2 * BODY_BYTES_MAX, positions: POSITIONS_MAX };
  #core;
  #device;
  #attempt = 0;
  #token = null;
  #tokenAsked = false;
  #liveSince = 0;
  #isAsking = false;
  #heartbeat = HEARTBEAT;
  #closed = null;

  constructor(core, device) {
    this.#core = core;
    this.#device = device;
  }

  /** Whether what is said of this connection still matters. */
  is(connection) {
    return this.connection === connection && (this.phase === "greeting" || this.phase === "live");
  }

  /** Something came: the other side lives. */
  hear() {
    this.heardAt = this.#core.now;
    this.#isAsking = false;
  }

  /** The error for whoever asks for something now, if it is over. */
  closedError() {
    return this.#closed && own("CLIENT_CLOSED", "the client is closed", { closed: this.#closed });
  }

  open() {
    if (this.phase !== "idle") return;
    this.#say("connecting");
    this.#seek();
  }

  /** The page woke up or the network changed: waiting makes no sense, and what seems alive must show it. */
  nudge() {
    if (this.phase === "waiting") {
      this.#core.timers.cancel("step");
      this.#seek();
    } else if (this.phase === "live" && !this.#core.timers.isSet("probe")) {
      this.#ping();
      this.#core.timers.set("probe", this.#core.now + PROBE_TIMEOUT);
    }
  }

  /** Begins an attempt: with the token at hand, or by asking for one. */
  #seek() {
    const core = this.#core;
    if (this.#token) {
      this.connection += 1;
      this.phase = "connecting";
      core.timers.set("step", core.now + CONNECT_TIMEOUT);
      core.effects.push({ type: "connect", connection: this.connection });
    } else {
      this.phase = "token";
      core.timers.set("step", core.now + TOKEN_TIMEOUT);
      this.#askForToken();
    }
  }

  #askForToken() {
    if (this.#tokenAsked) return;
    this.#tokenAsked = true;
    this.#core.effects.push({ type: "askForToken" });
  }

  /** The token provider's answer: a token, or why there is none. */
  onToken({ token, never }) {
    this.#tokenAsked = false;
    this.#core.timers.cancel("renew");
    if (this.phase === "closed") return;
    if (token === undefined) {
      if (never !== undefined) this.finish({ by: "token", reason: never });
      else if (this.phase === "token") this.#wait();
      else this.#renewLater();
      return;
    }
    this.#token = { text: token, welcomed: false, givenAt: this.#core.now };
    if (this.phase === "token") {
      this.#seek();
    } else if (this.phase === "live") {
      this.#core.request("renew", { token }, {
        kind: "renew",
        answered: (data, error) => this.#onRenewed(data, error),
        late: () => this.#renewLater(),
      });
    }
  }

  onConnected(connection) {
    if (this.phase !== "connecting" || connection !== this.connection || !this.#token) return;
    this.phase = "greeting";
    this.heardAt = this.#core.now;
    this.#core.timers.set("step", this.#core.now + CONNECT_TIMEOUT);
    this.#core.request("hello", { token: this.#token.text, device: this.#device }, {
      kind: "hello",
      answered: (data, error) => (error ? this.#onHelloRefused(error) : this.#onWelcome(data)),
    });
    this.#core.subscriptions.wantAll();
  }

  #onWelcome(welcome) {
    if (this.phase !== "greeting") return;
    const core = this.#core;
    const identity = JSON.stringify([welcome.tenant, welcome.user]);
    if (this.identity !== null && this.identity !== identity) {
      // What waits to be sent was the first user's, so nothing goes out under this one.
      this.finish({ by: "user", reason: "the token is now another user's" });
      return;
    }
    this.identity = identity;
    this.user = welcome.user;
    this.session = welcome.session;
    if (this.#token) this.#token.welcomed = true;
    const given = welcome.limits ?? {};
    this.limits = {
      inFlight: given.requests_in_flight_max || this.limits.inFlight,
      bodyBytes: given.body_bytes_max || this.limits.bodyBytes,
      frameBytes: given.frame_bytes_max || this.limits.frameBytes,
      positions: given.positions_max || this.limits.positions,
    };
    this.#heartbeat = welcome.heartbeat_ms || this.#heartbeat;
    this.phase = "live";
    this.moving = false;
    this.#liveSince = core.now;
    core.timers.cancel("step");
    core.timers.set("quiet", core.now + this.#heartbeat);
    core.calls.onIdentity();
    this.#say("online", { welcome });
  }

  #onHelloRefused(error) {
    if (isRetry(error)) {
      this.#disconnect();
      this.#lost(error.retry_after_ms);
    } else if (error.number === AUTH_INVALID && this.#dropOldToken()) {
      this.abandon();
    } else {
      this.finish({ by: "server", code: error.number, reason: error.message });
    }
  }

  /** Forgets a token that did serve once or is no more fresh, so that a new one is asked for. Says whether there was one. */
  #dropOldToken() {
    const token = this.#token;
    const old = token !== null && (token.welcomed || this.#core.now - token.givenAt > TOKEN_FRESH);
    if (old) this.#token = null;
    return old;
  }

  /** A browser answers the server's pings without telling the page, so it is the client that asks whether the server is
   * still there; the answer's own time limit does the rest. */
  onQuiet() {
    if (this.phase !== "live") return;
    const due = this.heardAt + this.#heartbeat;
    if (due <= this.#core.now) this.#ping();
    this.#core.timers.set("quiet", Math.max(due, this.#core.now + this.#heartbeat / 2));
  }

  #ping() {
    this.#isAsking = true;
    if (!this.#core.isFlying("ping")) this.#core.request("ping", {}, { kind: "ping", answered: () => {} });
  }

  onProbeOver() {
    if (this.phase === "live" && this.#isAsking) this.abandon();
  }

  /** The pause is over, or a step of connecting took too long. */
  onStepOver() {
    if (this.phase === "waiting") {
      this.#seek();
    } else if (this.phase === "token") {
      // A provider that hangs is asked again, and what it answers in the end is taken as well.
      this.#tokenAsked = false;
      this.#wait();
    } else if (this.phase === "connecting" || this.phase === "greeting") {
      this.abandon();
    }
  }

  /** The connection is over, or could not be made. */
  onDisconnected(connection, code, reason) {
    const connecting = this.phase === "connecting" && connection === this.connection;
    if (!connecting && !this.is(connection)) return;
    if (code === CLOSE_TOKEN_EXPIRED) {
      this.#token = null;
    } else if (!mayComeAgain(code) && !(code === CLOSE_AUTH && this.#dropOldToken())) {
      this.#end({ by: "server", code, reason });
      return;
    }
    this.#lost();
  }

  /** Leaves the present connection, which is of no use, and comes again after a pause. */
  abandon() {
    this.#disconnect();
    this.#lost();
  }

  #disconnect() {
    if (["connecting", "greeting", "live"].includes(this.phase)) {
      this.#core.effects.push({ type: "disconnect", connection: this.connection });
    }
  }

  #lost(atLeast) {
    this.#forgetConnection();
    this.#wait(atLeast);
  }

  /** Everything that was bound to the connection goes back to where it can begin anew. */
  #forgetConnection() {
    const wasLive = this.phase === "live";
    if (wasLive) {
      const lasted = this.#core.now - this.#liveSince;
      this.#attempt = lasted >= STABLE_AFTER ? 0 : Math.min(this.#attempt, ATTEMPTS_AFTER_WELCOME_MAX);
    }
    for (const timer of OF_CONNECTION) this.#core.timers.cancel(timer);
    this.phase = "waiting";
    this.moving = false;
    this.#core.subscriptions.detachAll();
    this.#core.all.forgetConnection();
    this.#core.showing.forgetConnection();
    this.#core.marks.forgetConnection();
    this.#core.presence.forgetConnection();
    this.#core.cutOffAll();
    if (wasLive) this.#say("connecting");
  }

  /** Pauses before the next attempt. */
  #wait(atLeast = 0) {
    const time = atLeast + pause(this.#core.random, RECONNECT_BASE, RECONNECT_CAP, this.#attempt);
    this.#attempt += 1;
    this.phase = "waiting";
    this.#core.timers.set("step", this.#core.now + time);
  }

  /** The server is going away: at a random time between the two, so that its clients do not move all at once. */
  onDrain({ after_min_ms: least = 0, after_max_ms: most = 0 }) {
    if (this.phase !== "live" || this.moving) return;
    this.#core.timers.set("move", this.#core.now + between(this.#core.random, least, most));
  }

  startMoving() {
    if (this.phase !== "live") return;
    this.moving = true;
    this.#core.timers.set("moveNow", this.#core.now + MOVE_GRACE);
  }

  /** The pause was in choosing when to move; the next connection is made at once. */
  moveNow() {
    if (this.phase !== "live") return;
    this.#disconnect();
    this.#forgetConnection();
    this.#seek();
  }

  /** The server warns that the token runs out. */
  renew() {
    if (this.phase !== "live") return;
    const already = this.#tokenAsked;
    this.#askForToken();
    if (!already || !this.#core.timers.isSet("renew")) {
      this.#core.timers.set("renew", this.#core.now + RENEW_TIMEOUT);
    }
  }

  /** The pause after a failure is over, or the provider takes too long: one that hangs is asked again. */
  renewAgain() {
    this.#tokenAsked = false;
    this.renew();
  }

  #renewLater() {
    if (this.phase !== "live") return;
    this.#core.timers.set("renew", this.#core.now + between(this.#core.random, RENEW_PAUSE_MIN, RENEW_PAUSE_MAX));
  }

  #onRenewed(data, error) {
    if (!error) {
      if (this.#token) this.#token.welcomed = true;
      this.#core.subscriptions.onRolesLost(data?.ended ?? []);
      return;
    }
    // Neither this token nor, soon, the one before is any good: should the connection end, a new one is asked for.
    if (!isRetry(error)) this.#token = null;
    this.#renewLater();
  }

  /** The application wants to end: at once if nothing waits, else when it is sent or patience is over. */
  close(patience) {
    if (this.phase === "closed") return;
    this.closing = true;
    this.#core.timers.set("close", this.#core.now + patience);
  }

  /** Ends for good, from this side. */
  finish(closed) {
    if (this.phase === "closed") return;
    this.#disconnect();
    this.#end(closed);
  }

  /** There is no connection and there will be none. Everybody who waits is told what is known. */
  #end(closed) {
    this.#core.timers.clear();
    this.#core.flights.clear();
    this.phase = "closed";
    this.#closed = closed;
    this.closing = false;
    this.#core.calls.endAll(this.closedError());
    this.#core.subscriptions.endAll(this.closedError());
    this.#core.all.endAll(this.closedError());
    this.#core.showing.endAll(this.closedError());
    this.#core.marks.endAll(this.closedError());
    this.#core.presence.endAll(this.closedError());
    this.#say("closed", { closed });
  }

  #say(state, more = {}) {
    this.#core.effects.push({ type: "state", state: { state, ...more } });
  }
}
