// Messages that are not known to be stored, kept in the browser so that they outlive the page. IndexedDB, one queue for
// each client; a lock says whose client still lives, so that no two send the same message with different words about how
// far back it may lie. Where either is not to be had (a page without TLS, a private window), they are kept in memory.

const DATABASE = "switchyard";
const STORE = "unsent";

/** A page that is being reloaded may still hold its lock for a moment. Whatever is held longer is another tab's, and is
 * taken over when that ends. */
const LOCK_WAIT = 500;

/** Opens the place. `onFound` is given what earlier clients of this account left: a list of `{ ticket, text, at }`; by the
 * time that this resolves it has been given all that nobody else is busy with. */
export async function openUnsent(account, onFound) {
  if (account !== undefined && globalThis.indexedDB && globalThis.navigator?.locks) {
    try {
      const queue = new Queue(await openDatabase(), account);
      await queue.take(onFound);
      return queue;
    } catch (error) {
      console.warn("switchyard: unsent messages are kept in memory alone:", error);
    }
  }
  return { put: async () => {}, delete: () => {}, close: () => {} };
}

class Queue {
  #database;
  #account;
  #id = randomId();
  #ended = new AbortController();
  #release;

  constructor(database, account) {
    this.#database = database;
    this.#account = account;
  }

  /** Says that this client lives, and takes over what others left. */
  async take(onFound) {
    await new Promise((resolve, reject) => {
      const held = new Promise((release) => (this.#release = release));
      navigator.locks.request(lockName(this.#id), () => (resolve(), held)).catch(reject);
    });
    const records = await this.#run("readonly", (store) => store.getAll(rangeOf([this.#account])));
    const others = new Set(records.map(({ queue }) => queue));
    const taken = [...others].map(async (queue) => {
      const { signal } = this.#ended;
      onFound(await navigator.locks.request(lockName(queue), { signal }, () => this.#adopt(queue)));
    });
    const all = Promise.allSettled(taken);
    await Promise.race([all, new Promise((resolve) => setTimeout(resolve, LOCK_WAIT))]);
  }

  /** Makes another queue's messages this one's, all or none. */
  async #adopt(queue) {
    const found = [];
    await this.#run("readwrite", (store) => {
      const request = store.getAll(rangeOf([this.#account, queue]));
      request.onsuccess = () => {
        for (const { ticket, text } of request.result) {
          store.delete([this.#account, queue, ticket]);
          store.put({ account: this.#account, queue: this.#id, ticket, text });
          found.push({ ticket, text, at: ticket / 1_000 });
        }
      };
      return request;
    });
    return found;
  }

  /** Keeps a message under its ticket, in place of what was kept before. Resolves when it is on the disk. */
  async put(ticket, text) {
    await this.#run("readwrite", (store) => store.put({ account: this.#account, queue: this.#id, ticket, text }));
  }

  delete(ticket) {
    // If it fails, the message is sent once more by the next visit, and answered as a duplicate.
    this.#run("readwrite", (store) => store.delete([this.#account, this.#id, ticket])).catch(() => {});
  }

  close() {
    this.#ended.abort();
    this.#release?.();
    this.#database.close();
  }

  #run(mode, act) {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { keyPath: ["account", "queue", "ticket"] });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another page holds an older database open"));
  });
}

/** All keys that begin so: an array sorts after every number and text. */
function rangeOf(prefix) {
  return IDBKeyRange.bound(prefix, [...prefix, []]);
}

function lockName(queue) {
  return `switchyard:unsent:${queue}`;
}

/** 128 random bits as text. `crypto.randomUUID` is not there on pages without TLS. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
