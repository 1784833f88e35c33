// The frame of the pages: which of them is shown, how the system is, and whether the connection stands.
import { ask, listen, repeat } from "./api.js";
import { h, setText } from "./dom.js";
import { configuration } from "./configuration.js";
import { event } from "./event.js";
import { events } from "./events.js";
import { health } from "./health.js";
import { live } from "./live.js";
import { timeline } from "./timeline.js";

const pages = [
  [/^$/, live, "Live", 0],
  [/^events$/, events, "Events", 1],
  [/^events\/(.+)$/, event, "Event", 1],
  [/^timeline(?:\/(.+))?$/, timeline, "Timeline", 2],
  [/^health$/, health, "Health", 3],
  [/^configuration$/, configuration, "Configuration", 4],
];

const main = document.getElementById("main");
const bus = new EventTarget();
const state = { site: null, system: null };
let leaving = null;

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [match, page, title, tab] = pages.map(([form, ...rest]) => [form.exec(path), ...rest]).find(([found]) => found) ?? [[], live, "Live", 0];
  leaving?.abort();
  leaving = new AbortController();
  document.title = `${title} · xclip-stream`;
  document.querySelectorAll("#nav a").forEach((link, i) => (i === tab ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  main.replaceChildren();
  main.dataset.page = title.toLowerCase();
  const argument = match[1] === undefined ? "" : decoded(match[1]);
  page({ main, state, bus, signal: leaving.signal, argument, query: new URLSearchParams(query) });
}

/** What an address names; one that was cut in two on its way is taken as it is, and found to be unknown. */
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function showState() {
  const pill = document.getElementById("pill");
  const wants = state.system?.attention?.length ?? 0;
  pill.dataset.tone = state.system === null ? "quiet" : wants ? "warning" : "ok";
  setText(pill, state.system === null ? "…" : wants ? `${wants} need${wants === 1 ? "s" : ""} attention` : "All well");
}

const troubles = new Map();
function trouble(name, text) {
  text === null ? troubles.delete(name) : troubles.set(name, text);
  const lost = document.getElementById("lost");
  lost.hidden = troubles.size === 0;
  setText(lost, [...troubles.values()][0] ?? "");
}

async function look() {
  try {
    state.system = await ask("/api/system");
    trouble("system", null);
  } catch (error) {
    trouble("system", error instanceof TypeError ? "Connection lost, retrying…" : `${error.message}. Retrying…`);
  }
  showState();
  bus.dispatchEvent(new Event("system"));
}

async function begin() {
  try {
    state.site = await ask("/api/site");
  } catch (error) {
    main.replaceChildren(h("div", { class: "empty" }, h("strong", {}, "The dashboard does not answer"), h("p", {}, error.message)));
    setTimeout(begin, 3000);
    return;
  }
  listen({
    onEvent: (message, id) => bus.dispatchEvent(new CustomEvent("told", { detail: { message, id } })),
    onState: (isOpen) => trouble("events", isOpen ? null : "Connection lost, retrying…"),
  });
  repeat(look, 2000, new AbortController().signal);
  repeat(async () => (state.site = await ask("/api/site").catch(() => state.site)), 15000, new AbortController().signal);
  addEventListener("hashchange", () => { route(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
  route();
}

document.querySelector(".skip").addEventListener("click", (click) => { click.preventDefault(); main.focus(); });
begin();
