// Requests to the service. The token, where the daemon wants one, is asked for once, kept for this tab alone,
// and travels in a header, never in an address.
import { signal } from "@preact/signals";

const TOKEN_KEY = "dgld-token";

/** A question for a token that the page is to put: {reason, answer(token or null)}; null where there is none. */
export const tokenQuestion = signal(null);

let asking = null; // the promise of the question that is open: all requests that need a token share it
let isDeclined = false; // nobody is asked again by what looks again and again, but by what he does himself
addEventListener("hashchange", () => { isDeclined = false; });
addEventListener("click", ({ target }) => { isDeclined &&= !target.closest?.("a, button"); }, { capture: true });

function askForToken(reason) {
  asking ??= new Promise((resolve) => {
    tokenQuestion.value = {
      reason,
      answer(token) {
        tokenQuestion.value = null;
        asking = null;
        isDeclined = token === null;
        if (token !== null) {
          sessionStorage.setItem(TOKEN_KEY, token);
        }
        resolve(token);
      },
    };
  });
  return asking;
}

/** Whether requests carry a token. */
export const hasToken = () => sessionStorage.getItem(TOKEN_KEY) !== null;

/** What the service refused, in its own words: `problem` is the RFC 9457 body, {} where there is none. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the service answered ${status}`);
    this.status = status;
    this.problem = problem;
    /** [{pointer, detail}] */
    this.errors = problem.errors ?? [];
  }
}

async function problemOf(reply) {
  try {
    return await reply.json();
  } catch {
    return {};
  }
}

/**
 * Sends a request and resolves to the Response; rejects with ApiError for 4xx and 5xx.
 * `json` is sent as JSON, `body` as it is with `type`.
 */
export async function request(path, { method = "GET", json, body, type, headers = {}, signal: abort } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN_KEY);
    const reply = await fetch(path, {
      method,
      signal: abort,
      headers: {
        ...(json !== undefined ? { "Content-Type": "application/json" } : type ? { "Content-Type": type } : {}),
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...headers,
      },
      body: json !== undefined ? JSON.stringify(json) : body,
    });
    if (reply.ok) {
      return reply;
    }
    const problem = await problemOf(reply);
    const mayAsk = reply.status === 401 || (reply.status === 403 && reply.headers.has("WWW-Authenticate"));
    // a token that came meanwhile, through another request's question, is tried before asking again
    if (mayAsk && sessionStorage.getItem(TOKEN_KEY) !== token) {
      continue;
    }
    if (!mayAsk || isDeclined || (await askForToken(problem.detail ?? "a token is needed here")) === null) {
      throw new ApiError(reply.status, problem);
    }
  }
}

export async function getJson(path, options) {
  return (await request(path, options)).json();
}

export async function postJson(path, json, options) {
  return (await request(path, { method: "POST", json, ...options })).json();
}

/** A path of segments, each percent-encoded: path`/v1/devices/${name}`. */
export function path(parts, ...values) {
  return parts.reduce((all, part, i) => all + encodeURIComponent(values[i - 1]) + part);
}

/**
 * Follows server-sent events: calls onEvent({id, event, data}) with parsed data, reconnects with Last-Event-ID after a
 * break, and resolves when the stream has ended by itself after an event for which onEvent returned true, or `abort` fired.
 */
export async function followEvents(address, onEvent, abort) {
  let lastId = null;
  let waitMs = 500;
  while (!abort.aborted) {
    try {
      const reply = await request(address, {
        signal: abort,
        headers: { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) },
      });
      waitMs = 500;
      for await (const event of eventsOf(reply.body)) {
        lastId = event.id ?? lastId;
        if (onEvent(event)) {
          return;
        }
      }
    } catch (error) {
      if (abort.aborted || (error instanceof ApiError && error.status < 500)) {
        if (abort.aborted) {
          return;
        }
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    waitMs = Math.min(waitMs * 2, 10_000);
  }
}

async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = { event: "message" };
      for (const line of part.split("\n")) {
        const at = line.indexOf(": ");
        if (at > 0) {
          event[line.slice(0, at)] = line.slice(at + 2);
        }
      }
      if (event.data !== undefined) {
        yield { ...event, data: JSON.parse(event.data) };
      }
    }
  }
}

/** Hands bytes to the reader as a file. */
export function saveAs(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
