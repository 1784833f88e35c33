// How the system is: what needs somebody, the sources, what waits where, who works, and what was given up.
import { act, ask, repeat } from "./api.js";
import { empty, h, setText, table } from "./dom.js";
import { ago, bytes, lasting } from "./words.js";

const LISTED = 200;
const TONES = { running: "ok", connecting: "quiet", ended: "quiet", stalled: "critical", failed: "critical" };

export function health({ main, state, bus, signal }) {
  const top = h("div"), said = h("p", { role: "status", class: "quiet" }), list = h("div", { class: "stack" });
  main.append(h("h1", {}, "Health"), top, h("section", { class: "card wide" }, h("h2", {}, "Dead letters"), said, list));
  let acting = false;
  const draw = () => state.system && keepFocus(top, () => top.replaceChildren(...system(state.system, state.site)));
  const look = async () => {
    const found = await ask(`/api/dead-letters?limit=${LISTED}`).catch(() => null);
    if (found && !signal.aborted && !acting) keepFocus(list, () => list.replaceChildren(...letters(found.letters, actOn)));
  };
  const actOn = async (chosen, verb) => {
    acting = true;
    setText(said, chosen.length > 1 ? "One after another…" : "");
    const done = await inTurn(chosen, verb).catch((error) => error);
    acting = false;
    setText(said, done instanceof Error ? done.message : "");
    look();
  };
  bus.addEventListener("system", draw, { signal });
  draw();
  repeat(look, 4000, signal);
}

/** The oldest first, as they are listed, so that a sink hears of them in their order; a refusal ends it. */
async function inTurn(chosen, verb) {
  for (const letter of chosen) await act(`/api/dead-letters/${encodeURIComponent(letter.id)}/${verb}`);
}

/** Draw anew unless somebody is just in there with the keyboard. */
function keepFocus(box, drawIt) {
  if (!box.contains(document.activeElement) || document.activeElement.classList.contains("scroll")) drawIt();
}

function system(look, site) {
  const queue = look.queue;
  return [
    attention(look.attention),
    h("section", { class: "card wide" }, h("h2", {}, "Sources"), look.sources.length ? sources(look.sources) : empty("No camera has reported yet", "Its ingest worker may still be starting.")),
    h("div", { class: "grid" },
      stat("Windows of cameras", queue.live_windows.waiting, `${queue.live_windows.held} being scored`, queue.live_windows.oldest_s),
      stat("Windows of files", queue.file_windows.waiting, `${queue.file_windows.held} being scored`, queue.file_windows.oldest_s),
      stat("Scores for the rules", queue.scores.count, `of ${queue.max_scores.toLocaleString()}`, queue.scores.oldest_s),
      ...look.outboxes.map((outbox) => stat(`Outbox of ${outbox.sink}`, outbox.count, outbox.count ? "waiting" : "all delivered", outbox.oldest_s)),
      stat("Memory of windows", bytes(queue.window_bytes), `of ${bytes(queue.max_window_bytes)}`, null, queue.window_bytes / queue.max_window_bytes),
      stat("Memory of Redis", bytes(queue.redis_memory_bytes), queue.redis_max_memory_bytes ? `of ${bytes(queue.redis_max_memory_bytes)}` : "no bound of its own", null, queue.redis_max_memory_bytes ? queue.redis_memory_bytes / queue.redis_max_memory_bytes : null),
      stat("Events kept", queue.events_retained.toLocaleString(), "on the public stream")),
    h("section", { class: "card wide" }, h("h2", {}, "Workers"), workers(look, site)),
  ];
}

function attention(lines) {
  if (!lines.length) return h("div", { class: "notice", "data-tone": "ok" }, h("strong", {}, "All well"), h("span", {}, "Nothing needs attention."));
  return h("div", { class: "notice", "data-tone": "warning" }, h("strong", {}, "Needs attention"), h("ul", {}, lines.map((line) => h("li", {}, line.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part))))));
}

function sources(list) {
  return table("Sources", ["Source", "State", "fps", "Lag", "Decoded", "Windows", "Unchanged", "Judged", "Dropped", "Expired", "Failed", "Events", "Read by"], list.map((source) => {
    const word = source.silent ? "silent" : source.state;
    return [h("a", { href: `#/timeline/${encodeURIComponent(source.id)}` }, source.id),
      h("span", { title: source.error || null }, h("i", { class: "dot", "data-tone": TONES[word] ?? "critical" }), word, source.error && h("small", {}, source.error)),
      source.fps.toFixed(1), source.live ? `${source.lag_s.toFixed(1)} s` : "file", source.idle ? `${Math.round(100 * source.decoded_share)} %, ${source.idle.replace("_", " ")}` : "–", source.window_step > 1 ? `${source.windows}, one in ${source.window_step}` : source.windows, source.live ? source.unchanged : "–", source.judged, source.dropped, source.expired, source.failed, source.events, workerName(source.worker)];
  }));
}

function stat(title, value, note, oldest = null, part = null) {
  const bar = h("i");
  if (part !== null) bar.style.width = `${Math.min(100, part * 100)}%`;
  return h("div", { class: "card stat" }, h("h3", {}, title), h("b", {}, String(value)), h("span", { class: "quiet" }, note, oldest === null ? "" : ` · oldest ${lasting(oldest)}`), part !== null && h("span", { class: "meter" }, bar));
}

function workers(look, site) {
  const rows = look.leases.filter((lease) => !lease.role.startsWith("source:")).map((lease) => [lease.role.startsWith("sink:") ? `deliver · ${lease.role.slice(5)}` : lease.role, workerName(lease.holder), `lease for ${lease.left_s.toFixed(0)} s`]);
  rows.push(...look.ingest_workers.map((name) => ["ingest", workerName(name), `${look.leases.filter((lease) => lease.role.startsWith("source:") && lease.holder === name).length} of ${site.sources.length} sources`]));
  rows.push(...look.score_workers.map((worker) => ["score", workerName(worker.name), `${worker.held} in hand · seen ${lasting(worker.seen_s)} ago`]));
  return rows.length ? table("Workers", ["Role", "Worker", "Now"], rows) : empty("No worker is seen", "Start them with xclip-stream run, or each by itself.");
}

/** Host and process; what tells it from all others anywhere stands behind the @. */
function workerName(name) {
  return name ? h("span", { title: name }, name.split("@")[0]) : "–";
}

/** What was given up: a message leads to its event, a window only has its place. */
function subject(letter) {
  const [event] = letter.subject.split(":");
  return letter.origin.startsWith("outbox:") && event ? h("a", { href: `#/events/${encodeURIComponent(event)}` }, letter.subject) : letter.subject || letter.id;
}

function letters(list, actOn) {
  if (!list.length) return [empty("No dead letters", "Nothing was given up.")];
  const button = (text, sure, verb, chosen) => h("button", { type: "button", disabled: !chosen.length, onclick: async ({ currentTarget: pressed }) => {
    if (sure && pressed.dataset.sure === undefined) { pressed.dataset.sure = ""; pressed.textContent = sure; return; }
    pressed.disabled = true;
    pressed.blur();
    await actOn(chosen, verb);
  } }, text);
  const replayable = list.filter((letter) => letter.replayable), all = list.length < LISTED ? `all ${replayable.length}` : `the oldest ${replayable.length}`;
  return [replayable.length > 1 && h("div", { class: "tools" }, button(`Replay ${all}`, `Really replay ${all}`, "replay", replayable)),
    table("Dead letters", ["What", "Died", "Where", "Reason", "Do"], list.map((letter) => [subject(letter), ago(Date.parse(letter.died_at)), letter.origin, h("small", {}, letter.reason),
      h("span", { class: "buttons" }, button("Replay", "", "replay", letter.replayable ? [letter] : []), button("Drop", "Really drop", "drop", [letter]))]))].filter(Boolean);
}
