// The wall: a tile for each source, and the events as they come.
import { ask, repeat } from "./api.js";
import { empty, h, setText } from "./dom.js";
import { ago, place, position, share } from "./words.js";

const SHOWN = 60;

export function live({ main, state, bus, signal }) {
  const wall = h("div", { class: "wall" });
  const list = h("ol", { class: "ticker", "aria-label": "Newest events" });
  main.append(h("section", { class: "live" },
    h("h1", { class: "unseen" }, "Live"), wall,
    h("aside", { class: "side" }, h("h2", {}, "Events", h("a", { href: "#/events" }, "all")), list)));
  const tiles = new Map();
  const open = new Map();

  const draw = () => drawTiles(wall, tiles, open, state);
  const refresh = async () => {
    const found = await ask(`/api/events?limit=${SHOWN}`).catch(() => null);
    if (found === null || signal.aborted) return;
    open.clear();
    for (const event of found.events) if (event.phase !== "ended") open.set(event.source_id, event);
    list.replaceChildren(...found.events.map(row));
    if (!found.events.length) list.replaceChildren(h("li", {}, empty("No event yet", "Events appear here as soon as a rule holds.")));
    draw();
  };
  let due = 0;
  const soon = () => { clearTimeout(due); due = setTimeout(refresh, 40); };
  bus.addEventListener("told", soon, { signal });
  bus.addEventListener("system", draw, { signal });
  signal.addEventListener("abort", () => tiles.forEach((tile) => tile.forget()));
  draw();
  repeat(refresh, 20000, signal);
  repeat(() => Promise.all([...tiles.values()].map((tile) => tile.look())), 1000, signal);
}

function row(event) {
  const isOpen = event.phase !== "ended";
  return h("li", {}, h("a", { href: `#/events/${event.event_id}`, "data-open": String(isOpen), "data-severity": event.severity },
    event.snapshot_url && h("img", { src: event.snapshot_url, alt: "", loading: "lazy" }),
    h("span", { class: "what" }, h("strong", {}, event.rule_id), h("span", {}, place(event))),
    h("span", { class: "when" }, h("b", {}, share(event.peak_score)), h("span", {}, isOpen ? "now" : ago(event.committed_ms)))));
}

function drawTiles(wall, tiles, open, state) {
  const known = new Map((state.system?.sources ?? []).map((source) => [source.id, source]));
  if (!state.site.sources.length) wall.replaceChildren(empty("No source is configured", "Add one to the configuration."));
  const count = state.site.sources.length;
  wall.style.setProperty("--least", count < 2 ? "40rem" : count === 2 ? "26rem" : count < 5 ? "19rem" : count < 13 ? "17rem" : "14rem");
  for (const source of state.site.sources) {
    if (!tiles.has(source.id)) {
      tiles.set(source.id, new Tile(source));
      wall.append(tiles.get(source.id).element);
    }
    tiles.get(source.id).show(known.get(source.id), open.get(source.id), state.site.rules);
  }
  for (const [id, tile] of tiles) {
    if (!state.site.sources.some((source) => source.id === id)) { tile.forget(); tile.element.remove(); tiles.delete(id); }
  }
}

class Tile {
  constructor(source) {
    this.id = source.id;
    this.picture = h("img", { alt: `Latest picture of ${source.id}`, hidden: true });
    this.note = h("p", { class: "note" }, "Nobody has reported of it yet");
    this.label = h("span", { class: "label", hidden: true });
    this.dot = h("i", { class: "dot" });
    this.word = h("span", { class: "word" });
    this.numbers = h("span", { class: "numbers" });
    this.meter = h("span", { class: "meter" }, h("i"), h("u"));
    this.rule = h("span", { class: "rule" });
    this.score = h("b");
    this.element = h("a", { class: "tile", href: `#/timeline/${encodeURIComponent(source.id)}` },
      h("div", { class: "screen" }, this.picture, this.note, this.label),
      h("div", { class: "foot" },
        h("div", { class: "line" }, this.dot, h("strong", {}, source.id), this.word, this.numbers),
        h("div", { class: "line" }, this.rule, this.meter, this.score)));
  }

  show(status, event, rules) {
    const word = !status ? "waiting" : status.silent ? "silent" : status.state;
    const tones = { running: "ok", connecting: "quiet", waiting: "quiet", ended: "quiet" };
    this.dot.dataset.tone = tones[word] ?? "critical";
    setText(this.word, word);
    setText(this.numbers, status ? [`${status.fps.toFixed(1)} fps`, status.live ? `lag ${status.lag_s.toFixed(1)} s` : position(status.position_s), status.window_step > 1 ? `one window in ${status.window_step}` : "", status.dropped ? `${status.dropped} dropped` : ""].filter(Boolean).join(" · ") : "");
    setText(this.note, !status ? "Nobody has reported of it yet" : status.error || (word === "running" ? "Waiting for its picture" : word === "ended" ? "It has ended" : `It is ${word}`));
    const rule = rules.find((each) => each.id === status?.top_rule);
    setText(this.rule, status?.top_rule ?? "no score yet");
    setText(this.score, share(status?.top_score));
    this.meter.firstChild.style.width = `${(status?.top_score ?? 0) * 100}%`;
    this.meter.lastChild.style.left = `${(rule?.enter ?? 2) * 100}%`;
    this.meter.dataset.over = Boolean(rule && status.top_score >= rule.enter);
    this.label.hidden = !event;
    this.element.dataset.severity = event?.severity ?? "";
    setText(this.label, event ? `${event.rule_id} ${share(event.peak_score)}` : "");
  }

  async look() {
    const response = await fetch(`/api/sources/${encodeURIComponent(this.id)}/picture`).catch(() => null);
    if (response?.status !== 200) {
      if (response?.status === 204) this.hide();
      return;
    }
    const address = URL.createObjectURL(await response.blob());
    this.forget();
    this.address = address;
    this.picture.src = address;
    this.picture.hidden = false;
    this.note.hidden = true;
  }

  hide() {
    this.picture.hidden = true;
    this.note.hidden = false;
  }

  forget() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }
}
