// The list of events, with filters that stand in the address, so that a list can be sent to somebody.
import { ask } from "./api.js";
import { empty, h, option, severity } from "./dom.js";
import { lasting, moment, place, share, unixOf } from "./words.js";

const PAGE = 50;

export function events({ main, state, bus, signal, query }) {
  const names = ["source", "rule", "severity", "state", "text", "since", "until"];
  const wanted = Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""]));
  const list = h("ol", { class: "events" });
  const more = h("button", { type: "button", hidden: true, onclick: () => load(last) }, "Show older ones");
  const said = h("p", { class: "quiet", role: "status" });
  let last = "";

  const change = () => {
    for (const name of names) wanted[name] = form.elements[name].value;
    const kept = Object.entries(wanted).filter(([, value]) => value);
    history.replaceState(null, "", `#/events${kept.length ? `?${new URLSearchParams(kept)}` : ""}`);
    load("");
  };
  const form = filters(state.site, wanted, change);
  main.append(h("h1", {}, "Events"), form, said, list, more);

  async function load(before) {
    const asked = Object.entries(wanted).filter(([, value]) => value).map(([name, value]) => [name, /^(since|until)$/.test(name) ? zoned(value) : value]);
    const count = before ? PAGE : Math.max(PAGE, Math.min(200, list.children.length));
    const found = await ask(`/api/events?${new URLSearchParams([...asked, ["limit", count], ["before", before]])}`).catch((error) => error);
    if (signal.aborted) return;
    if (!before && !(found instanceof TypeError)) list.replaceChildren(); // that is a lost connection: what was seen stays
    if (found instanceof Error) { said.textContent = found.message; more.hidden ||= !list.children.length; return; }
    list.append(...found.events.map((event) => row(event)));
    last = found.events.at(-1)?.event_id ?? last;
    more.hidden = !found.more;
    said.textContent = "";
    if (!list.children.length) list.append(h("li", {}, asked.length
      ? empty("No event fits", "Take a filter away to see more.")
      : empty("No event yet", "Events appear here as soon as a rule holds.")));
  }

  let due = 0;
  bus.addEventListener("told", () => { clearTimeout(due); due = setTimeout(() => load(""), 300); }, { signal });
  load("");
}

/** A time of the form, in the browser's time zone, as the API wants it; what is none is left to the API to refuse. */
const zoned = (text) => (Number.isNaN(Date.parse(text)) ? text : new Date(text).toISOString());

function filters(site, wanted, change) {
  const choice = (name, title, values) => h("label", {}, title, h("select", { name }, option("", "all", wanted[name]), values.map((value) => option(value, value, wanted[name]))));
  const field = (name, title, type) => h("label", { class: name }, title, h("input", { name, type, value: wanted[name], placeholder: name === "text" ? "prompt, label, id…" : null }));
  return h("form", { class: "filters", role: "search", oninput: change, onsubmit: (submit) => { submit.preventDefault(); change(); } },
    field("text", "Search", "search"),
    choice("source", "Source", site.sources.map((source) => source.id)),
    choice("rule", "Rule", site.rules.map((rule) => rule.id)),
    choice("severity", "Severity", ["critical", "warning", "info"]),
    choice("state", "State", ["open", "ended"]),
    field("since", "From", "datetime-local"), field("until", "To", "datetime-local"));
}

function row(event) {
  const begun = unixOf(event.start_time), isOpen = event.phase !== "ended";
  return h("li", {}, h("a", { href: `#/events/${event.event_id}`, "data-severity": event.severity },
    h("time", { datetime: event.start_time }, moment(begun)),
    severity(event.severity),
    h("span", { class: "what" }, event.snapshot_url && h("img", { src: event.snapshot_url, alt: "", loading: "lazy" }), h("strong", {}, event.rule_id), h("span", {}, event.prompt)),
    h("span", { class: "where" }, place(event)),
    h("span", { class: "peak" }, h("span", { class: "meter", "data-over": "true" }, meter(event)), h("b", {}, share(event.peak_score))),
    h("span", { class: "long" }, isOpen ? h("em", {}, "open") : `${lasting(unixOf(event.end_time) - begun)} · ${event.end_reason.replaceAll("_", " ")}`)));
}

export function meter(event) {
  const bar = h("i"), mark = h("u");
  bar.style.width = `${event.peak_score * 100}%`;
  mark.style.left = `${event.threshold * 100}%`;
  return [bar, mark];
}
