// One event: its clip and pictures, its scores, the rule as it was, and what became of it.
import { ask } from "./api.js";
import { chart } from "./chart.js";
import { empty, facts, h, severity, table } from "./dom.js";
import { ago, lasting, moment, place, share, unixOf } from "./words.js";

const AROUND_S = 20, LOOK_AGAIN_MS = 2000, LONGEST_H = 744;

export function event({ main, bus, signal, argument }) {
  let drawn = "", due = 0;
  const load = async () => {
    clearTimeout(due);
    const found = await ask(`/api/events/${encodeURIComponent(argument)}`).catch((error) => error);
    if (signal.aborted) return;
    if (found instanceof Error) {
      main.replaceChildren(h("h1", {}, "Event"), empty("This event cannot be shown", found.message), h("p", {}, h("a", { href: "#/events" }, "All events")));
      return;
    }
    const shown = JSON.stringify(found);
    if (shown !== drawn) draw(main, found, signal);
    drawn = shown;
    if (found.event.data.phase !== "ended" || found.evidence?.is_complete === false) due = setTimeout(load, LOOK_AGAIN_MS);
  };
  bus.addEventListener("told", ({ detail }) => { if (detail.message.data.event_id === argument) load(); }, { signal });
  signal.addEventListener("abort", () => clearTimeout(due));
  load();
}

function draw(main, found, signal) {
  const data = found.event.data, first = found.phases[0];
  const begun = unixOf(data.start_time), ended = unixOf(data.end_time);
  const picture = h("section", { class: "card screen", "data-url": `${found.media.clip_url ?? found.media.snapshot_url ?? ""} ${found.evidence?.is_complete ?? ""} ${found.evidence?.partial ?? ""}` }, recording(data, found.media, found.evidence));
  const scores = h("section", { class: "card" }, h("h2", {}, "Scores"), h("div", { class: "charts" }));
  const kept = main.querySelector(".screen");
  const seen = h("section", { class: "card" }, h("h2", {}, "What was seen"), facts([
    ["Prompt", data.prompt], ["Peak score", `${share(data.peak_score)} of ${share(data.threshold)} needed`],
    ["Lasted", data.phase === "ended" ? lasting(ended - begun) : "goes on"],
    ["Ended", data.end_reason?.replaceAll("_", " ") ?? "not yet"],
    ...Object.entries(data.labels ?? {}),
  ]), h("h3", {}, "Shares at the peak"), h("ul", { class: "shares" }, data.top_prompts.map((top) => bar(top, data.prompt))));
  main.replaceChildren(h("div", { class: "event" },
    h("header", {}, h("a", { href: "#/events", class: "back" }, "Events"),
      h("h1", {}, data.rule_id, " ", severity(data.severity), data.phase === "ended" ? null : h("em", { class: "open" }, "open")),
      h("p", {}, `${place(data)} · ${moment(begun)} · committed ${ago(first.committed_ms)}`)),
    h("div", { class: "stack" },
      kept && kept.dataset.url === picture.dataset.url ? kept : picture, scores,
      h("section", { class: "card" }, h("h2", {}, "Delivery"), deliveries(found))),
    h("div", { class: "stack" }, seen, h("section", { class: "card" }, h("h2", {}, "The rule as it was"), rule(found.rule))),
    h("section", { class: "card wide" }, h("h2", {}, "Phases and latency"), phases(found.phases)),
    h("section", { class: "card wide" }, h("details", {}, h("summary", {}, "JSON of the last phase"), json(found.event)))));
  drawScores(scores.lastChild, data, { begun, ended, first, signal });
}

function recording(data, media, evidence) {
  const box = h("div"), still = media.snapshot_url && h("img", { src: media.snapshot_url, alt: `Snapshot of ${data.rule_id} at ${place(data)}` });
  if (still) still.addEventListener("error", () => box.replaceChildren(none("The picture is not there", "It is not written yet, or its time is over.")));
  if (!media.clip_url) {
    box.append(still || none("No recording", data.clip_url ? `It is kept at ${data.clip_url}` : "No clip or snapshot is kept of this event. A section evidence of the configuration keeps them."));
    return box;
  }
  const video = h("video", { src: media.clip_url, poster: media.snapshot_url, controls: true, loop: true, playsinline: true, "aria-label": `Clip of ${data.rule_id}` });
  video.muted = true;
  video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  video.addEventListener("error", () => box.replaceChildren(still || none("The clip is not there", "It is cut while the event goes on, and removed when its time is over.")));
  box.append(video);
  if (evidence?.partial || data.clip_partial) box.append(h("p", { class: "partial" }, "This clip is not whole. Its reader was stopped, or the camera was lost, during the event."));
  return box;
}

const none = (title, text) => h("div", { class: "none" }, empty(title, text));

function bar(top, best) {
  const line = h("i");
  line.style.width = `${top.score * 100}%`;
  return h("li", { "data-best": String(top.prompt === best) }, h("span", {}, top.prompt), h("b", {}, share(top.score)), h("span", { class: "meter" }, line));
}

function rule(found) {
  if (!found) return h("p", { class: "quiet" }, "The configuration of then is not kept any more.");
  return h("div", { class: "rule-then" }, facts([
    ["Starts at", share(found.enter)], ["Ends below", share(found.exit)], ["Holds for", `${found.min_duration_s} s`],
    ["Rests for", `${found.cooldown_s} s`], ["At most", lasting(found.max_duration_s)], ["Awake", found.schedule ?? "always"],
  ]), h("h3", {}, "Looks for"), h("p", {}, found.prompts.join(" · ")), h("h3", {}, "Against"), h("p", { class: "quiet" }, found.background.join(" · ")));
}

function deliveries(found) {
  if (!found.rule) return h("p", { class: "quiet" }, "Which sinks heard of it is not known any more.");
  if (!found.deliveries.length) return h("p", { class: "quiet" }, "The rule tells no sink: the event is on the public stream alone.");
  return h("ul", { class: "deliveries" }, found.deliveries.map((sink) => h("li", {},
    h("i", { class: "dot", "data-tone": { delivered: "ok", waiting: "warning", dead: "critical" }[sink.state] }),
    h("strong", {}, sink.sink), h("span", { class: "quiet" }, sink.type ?? "removed"),
    h("span", {}, [[sink.delivered, "delivered"], [sink.waiting, "waiting"], [sink.dead, "dead"]].filter(([n]) => n).map(([n, word]) => `${n} ${word}`).join(", ")),
    sink.reason && h("p", { class: "quiet" }, sink.reason, " ", h("a", { href: "#/health" }, "Dead letters")))));
}

function phases(list) {
  const ms = (value) => (value === undefined || value === null ? "–" : `${Math.round(value)} ms`);
  return table("Phases", ["Phase", "Event time", "Score", "Peak", "Cut", "Scored", "Committed"], list.map((phase) => [
    phase.phase, moment(unixOf(phase.time)), share(phase.score), share(phase.peak_score),
    ms(phase.latency_ms?.produced), ms(phase.latency_ms?.scored), ms(phase.latency_ms?.committed)]));
}

function json(message) {
  const text = JSON.stringify(message, null, 2);
  const copy = h("button", { type: "button", onclick: async () => { await navigator.clipboard.writeText(text); copy.textContent = "Copied"; } }, "Copy");
  return h("div", { class: "json" }, copy, h("pre", { tabindex: "0" }, text));
}

async function drawScores(box, data, { begun, ended, first, signal }) {
  const around = { hours: Math.min(LONGEST_H, (Date.now() - first.committed_ms) / 3_600_000 + 0.1), points: 2000, since: Math.max(0, begun - AROUND_S) };
  if (ended !== null) around.until = ended + AROUND_S;
  const found = await ask(`/api/timeline/${encodeURIComponent(data.source_id)}?${new URLSearchParams(around)}`).catch(() => null);
  if (signal.aborted) return;
  const line = found?.series.find((each) => each.rule_id === data.rule_id && each.region === data.region);
  const from = around.since, to = (ended ?? found?.times.at(-1) ?? begun) + AROUND_S;
  if (!line || !found.times.some((time) => time >= from && time <= to)) {
    box.replaceChildren(h("p", { class: "quiet" }, "The scores of then are not kept any more."));
    return;
  }
  const bands = [{ from: begun, to: ended ?? to, severity: data.severity }];
  box.replaceChildren(chart({ times: found.times, line: { ...line, enter: data.threshold }, from, to, bands, height: 150, width: Math.max(300, box.clientWidth), name: `Score of ${data.rule_id}` }));
}
