// The scores of a source: a chart for each rule, all on one axis of time that can be zoomed and moved.
import { ask, repeat } from "./api.js";
import { chart, scoreAt, timeOf, xOf } from "./chart.js";
import { empty, h, option, setText } from "./dom.js";
import { isDated, moment, share, unixOf } from "./words.js";

const SPANS = [[0.25, "15 min"], [1, "1 h"], [6, "6 h"], [24, "24 h"]];
const NARROWEST_S = 10;

export function timeline({ main, state, bus, signal, argument, query }) {
  const site = state.site;
  const source = site.sources.find((each) => each.id === argument) ?? site.sources[0];
  if (!source) { main.append(h("h1", {}, "Timeline"), empty("No source is configured", "Add one to the configuration.")); return; }
  let hours = Number(query.get("hours")) || 1, found = null, bands = [], view = null;
  const charts = h("div", { class: "charts", tabindex: "0", role: "group", "aria-label": "Charts: plus and minus zoom, arrows move, Home shows all", "aria-describedby": "keys" });
  const read = h("p", { class: "readout", role: "status" });
  const spans = h("div", { class: "spans", role: "group", "aria-label": "Hours back" });
  const choose = h("select", { "aria-label": "Source", onchange: () => (location.hash = `#/timeline/${encodeURIComponent(choose.value)}?hours=${hours}`) }, site.sources.map((each) => option(each.id, each.id, source.id)));
  const whole = h("button", { type: "button", hidden: true, onclick: () => { view = null; draw(); } }, "Show all");
  main.append(h("h1", {}, "Timeline"), h("div", { class: "tools" }, choose, spans, whole, h("span", { id: "keys", class: "quiet keys" }, "drag to zoom · + − ← → Home"), read), charts);

  const bounds = () => {
    const [first, last] = [found.times[0], found.times.at(-1)];
    const from = isDated(last) ? Math.max(first, last - hours * 3600) : first;
    return { from, to: Math.max(last, from + NARROWEST_S) };
  };
  const show = (from, to) => {
    const all = bounds();
    const length = Math.min(Math.max(to - from, NARROWEST_S), all.to - all.from);
    const begin = Math.min(Math.max(from, all.from), all.to - length);
    view = length >= (all.to - all.from) * 0.999 ? null : { from: begin, to: begin + length };
    draw();
  };
  const width = () => Math.max(340, charts.clientWidth || 1000);

  function draw() {
    spans.replaceChildren(...SPANS.map(([each, text]) => h("button", { type: "button", "aria-pressed": String(each === hours), onclick: () => { hours = each; view = null; load(); } }, text)));
    whole.hidden = view === null;
    if (!found?.series.length) return;
    const { from, to } = view ?? bounds();
    charts.replaceChildren(...found.series.map((line) => h("figure", {},
      h("figcaption", {}, h("strong", {}, line.rule_id), line.region && h("span", {}, line.region), h("span", { class: "quiet" }, line.prompts.join(" · ")), h("output", {})),
      chart({ times: found.times, line, from, to, width: width(), height: found.series.length > 4 ? 104 : 132, name: line.rule_id, bands: bands.filter((band) => band.rule_id === line.rule_id && band.region === line.region) }))));
  }

  async function load() {
    const [scores, told] = await Promise.all([
      ask(`/api/timeline/${encodeURIComponent(source.id)}?hours=${hours}&points=1500`).catch((error) => error),
      ask(`/api/events?limit=200&source=${encodeURIComponent(source.id)}`).catch(() => ({ events: [] }))]);
    if (signal.aborted) return;
    if (scores instanceof Error) { setText(read, scores.message); return; }
    found = scores;
    const now = found.times.at(-1);
    bands = told.events.map((event) => ({ ...event, from: unixOf(event.start_time), to: unixOf(event.end_time) ?? now }));
    setText(read, found.windows ? "" : read.textContent);
    draw();
    if (!found.series.length) charts.replaceChildren(empty(`No scores of ${source.id} in the last ${SPANS.find(([each]) => each === hours)?.[1] ?? `${hours} h`}`, `Scores are kept for ${site.history_hours} hours. Look further back, or at another source.`));
  }

  const point = (move) => {
    const drawing = move.target.closest?.("figure")?.querySelector("svg");
    return drawing ? (move.clientX - drawing.getBoundingClientRect().left) * (width() / drawing.clientWidth) : null;
  };
  let grabbed = null;
  charts.addEventListener("pointerdown", (down) => { grabbed = point(down); });
  charts.addEventListener("pointermove", (move) => {
    const x = point(move);
    if (x === null || !found?.series.length) return;
    const { from, to } = view ?? bounds();
    const at = timeOf(x, from, to, width());
    setText(read, moment(at));
    charts.querySelectorAll("figure").forEach((figure, i) => {
      const near = scoreAt(found.times, found.series[i], at);
      figure.querySelector("output").textContent = near ? share(near.score) : "";
      mark(figure.querySelector("svg"), xOf(at, from, to, width()), grabbed);
    });
  });
  addEventListener("pointerup", (up) => {
    const x = point(up), begin = grabbed;
    grabbed = null;
    if (begin === null || x === null || Math.abs(x - begin) < 8) return;
    const { from, to } = view ?? bounds();
    const times = [timeOf(begin, from, to, width()), timeOf(x, from, to, width())].sort((a, b) => a - b);
    show(...times);
  }, { signal });
  charts.addEventListener("keydown", (key) => {
    if (!found?.series.length) return;
    const { from, to } = view ?? bounds(), span = to - from;
    const moves = { "+": [span / 4, -span / 4], "=": [span / 4, -span / 4], "-": [-span / 2, span / 2], ArrowLeft: [-span / 4, -span / 4], ArrowRight: [span / 4, span / 4] };
    if (key.key === "Home") { view = null; draw(); } else if (moves[key.key]) show(from + moves[key.key][0], to + moves[key.key][1]); else return;
    key.preventDefault();
  });
  addEventListener("resize", draw, { signal });
  draw();
  repeat(async () => { if (view === null && grabbed === null) await load(); }, 5000, signal);
}

function mark(drawing, x, begin) {
  let line = drawing.querySelector(".cursor");
  if (!line) { line = document.createElementNS(drawing.namespaceURI, "rect"); line.setAttribute("class", "cursor"); line.setAttribute("y", 8); drawing.append(line); }
  const [left, right] = begin === null ? [x, x + 1] : [Math.min(begin, x), Math.max(begin, x)];
  line.setAttribute("x", left); line.setAttribute("width", Math.max(1, right - left)); line.setAttribute("height", drawing.viewBox.baseVal.height - 28);
  line.classList.toggle("range", begin !== null);
}
