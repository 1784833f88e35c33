// The score of one rule over time as a drawing: a line with its spread, the two thresholds, and bands for events.
import { svg } from "./dom.js";
import { share, tick } from "./words.js";

const W = 1000, LEFT = 34, RIGHT = 8, TOP = 8, BOTTOM = 20, HALF_LETTER = 3.6;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

export const xOf = (time, from, to, width = W) => LEFT + ((time - from) / (to - from)) * (width - LEFT - RIGHT);
export const timeOf = (x, from, to, width = W) => from + ((x - LEFT) / (width - LEFT - RIGHT)) * (to - from);

export function chart({ times, line, from, to, bands = [], height = 120, width = W, name }) {
  const y = (score) => TOP + (1 - score) * (height - TOP - BOTTOM);
  const x = (time) => xOf(time, from, to, width);
  const inside = (time) => Math.min(Math.max(time, from), to);
  const step = STEPS.find((each) => (to - from) / each <= width / 90) ?? 86400;
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push([x(at), tick(at, step)]);
  const within = (middle, text) => Math.min(middle, width - text.length * HALF_LETTER); // the last one would be cut off
  const level = (score, kind) => svg("line", { class: kind, x1: LEFT, x2: width - RIGHT, y1: y(score), y2: y(score) });
  const shown = bands.filter((band) => band.to >= from && band.from <= to);
  return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe(name, times, line, from, to), "data-severity": line.severity },
    shown.map((band) => svg("rect", { class: "band", "data-severity": band.severity, x: x(inside(band.from)), width: Math.max(2, x(inside(band.to)) - x(inside(band.from))), y: TOP, height: height - TOP - BOTTOM })),
    [0, 0.5, 1].map((score) => [level(score, "grid"), svg("text", { x: LEFT - 6, y: y(score) + 3.5, "text-anchor": "end" }, score)]),
    ticks.map(([at, text]) => [svg("line", { class: "grid", x1: at, x2: at, y1: TOP, y2: height - BOTTOM }), svg("text", { class: "tick", x: within(at, text), y: height - 5, "text-anchor": "middle" }, text)]),
    level(line.enter, "enter"), level(line.exit, "exit"),
    runs(times, line, from, to).map((run) => [
      svg("path", { class: "spread", d: `M${run.map(([t, , high]) => `${x(t).toFixed(1)},${y(high).toFixed(1)}`).join("L")}L${[...run].reverse().map(([t, low]) => `${x(t).toFixed(1)},${y(low).toFixed(1)}`).join("L")}Z` }),
      run.length === 1 ? svg("circle", { class: "score", cx: x(run[0][0]), cy: y(run[0][2]), r: 1.8 })
        : svg("path", { class: "score", d: `M${run.map(([t, , high]) => `${x(t).toFixed(1)},${y(high).toFixed(1)}`).join("L")}` })]));
}

/** The stretches in which every point has a score; a hole in time ends one too. */
function runs(times, line, from, to) {
  const found = [];
  let run = [], before = null;
  const margin = (to - from) * 0.02;
  const isSeen = (time) => time >= from - margin && time <= to + margin;
  const seen = times.filter(isSeen);
  const usual = seen.length > 1 ? Math.max(6, ((seen.at(-1) - seen[0]) / seen.length) * 4) : 6;
  times.forEach((time, i) => {
    if (!isSeen(time)) return;
    if (line.highs[i] === null || (before !== null && time - before > usual)) { if (run.length) found.push(run); run = []; }
    if (line.highs[i] !== null) run.push([Math.min(Math.max(time, from), to), line.lows[i], line.highs[i]]);
    before = time;
  });
  if (run.length) found.push(run);
  return found;
}

function describe(name, times, line, from, to) {
  const scores = line.highs.filter((score, i) => score !== null && times[i] >= from && times[i] <= to);
  if (!scores.length) return `${name}: no scores`;
  const over = scores.filter((score) => score >= line.enter).length;
  return `${name}: highest ${share(Math.max(...scores))}, starts at ${share(line.enter)}, ends below ${share(line.exit)}; ${over} of ${scores.length} points at or over the threshold`;
}

/** What stands at a time: the nearest point's score. */
export function scoreAt(times, line, time) {
  let best = -1;
  for (let i = 0; i < times.length; i++) if (line.highs[i] !== null && (best < 0 || Math.abs(times[i] - time) < Math.abs(times[best] - time))) best = i;
  return best < 0 ? null : { time: times[best], score: line.highs[best] };
}
