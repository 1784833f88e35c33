// What the page asks of the server, and what it hears from it.

/** Ask for JSON; an error carries the server's own words. */
export async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { accept: "application/json", ...options.headers } });
  if (response.status === 401) location.assign(`/login${location.hash}`);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `the server answered ${response.status}`);
  return body;
}

export const act = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });

/** Call `look` now and again and again, while the page is seen and `signal` does not end it. */
export function repeat(look, everyMs, signal) {
  let timer;
  const turn = async () => {
    if (!document.hidden) await look();
    if (!signal.aborted) timer = setTimeout(turn, everyMs);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  turn();
}

/** The events as they come. `EventSource` comes back by itself and goes on where it left. */
export function listen({ onEvent, onState }) {
  let source;
  const open = () => {
    source = new EventSource("/events");
    source.onopen = () => onState(true);
    source.onerror = () => {
      onState(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 3000);
    };
    source.onmessage = (message) => onEvent(JSON.parse(message.data), message.lastEventId);
  };
  open();
}
