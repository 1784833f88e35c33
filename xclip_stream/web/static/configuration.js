// The configuration in force, without its secrets; a copy can be edited and tried, and changes nothing that runs.
import { act, ask } from "./api.js";
import { empty, h, severity } from "./dom.js";
import { lasting, moment, share, unixOf } from "./words.js";

export function configuration({ main, signal }) {
  const text = h("textarea", { spellcheck: "false", autocapitalize: "off", wrap: "off", "aria-label": "Copy of the configuration", "aria-describedby": "about" });
  const answer = h("div", { class: "answer", role: "status" }, h("p", { class: "quiet" }, "Change a threshold, a duration or a schedule, then try the copy: every mistake is told with its place, and what its rules would have made of the scores that are still at hand."));
  const tried = h("button", { type: "button", class: "primary", onclick: () => attempt() }, "Check and try");
  const reset = h("button", { type: "button", onclick: () => load() }, "Start again");
  const hash = h("code");
  main.append(h("h1", {}, "Configuration"),
    h("p", { id: "about", class: "quiet" }, "In force: ", hash, ". Secrets are not shown. This is a copy: nothing here changes the running system; it follows its file."),
    h("div", { class: "configuration" }, h("section", {}, h("div", { class: "tools" }, tried, reset, h("span", { class: "quiet" }, "Ctrl+Enter tries it")), text), answer));

  async function load() {
    const found = await ask("/api/configuration").catch((error) => error);
    if (signal.aborted) return;
    if (found instanceof Error) { answer.replaceChildren(empty("It cannot be shown", found.message)); return; }
    text.value = found.yaml;
    hash.textContent = found.config_hash;
  }
  async function attempt() {
    tried.disabled = true;
    answer.replaceChildren(h("p", { class: "quiet" }, "Trying it…"));
    const found = await act("/api/configuration/try", { yaml: text.value }).catch((error) => error);
    tried.disabled = false;
    if (signal.aborted) return;
    answer.replaceChildren(...(found instanceof Error ? [empty("It could not be tried", found.message)] : found.problems.length ? mistakes(found.problems, text) : trials(found, hash.textContent)));
  }
  text.addEventListener("keydown", (key) => { if (key.key === "Enter" && (key.ctrlKey || key.metaKey)) { key.preventDefault(); attempt(); } });
  load();
}

function mistakes(problems, text) {
  return [h("h2", {}, `${problems.length} mistake${problems.length === 1 ? "" : "s"}`),
    h("ol", { class: "mistakes" }, problems.map((problem) => h("li", {}, h("button", { type: "button", onclick: () => jump(text, problem) },
      h("b", {}, problem.line === null ? "" : `${problem.line}:${problem.column}`), h("span", {}, problem.text)))))];
}

function jump(text, { line, column }) {
  if (line === null) return;
  const lines = text.value.split("\n");
  const at = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
  text.focus();
  text.setSelectionRange(at, at + Math.max(1, (lines[line - 1] ?? "").length - column + 1));
  text.scrollTop = (line - 4) * Number.parseFloat(getComputedStyle(text).lineHeight);
}

function trials(found, hash) {
  const now = found.trials.reduce((sum, trial) => sum + trial.now, 0), then = found.trials.reduce((sum, trial) => sum + trial.then, 0);
  const windows = found.trials.reduce((sum, trial) => sum + trial.windows, 0);
  return [
    h("h2", {}, "It is right"),
    h("p", { class: "verdict" }, h("b", {}, String(now)), " event", now === 1 ? "" : "s", " by the rules in force, ", h("b", {}, String(then)), " by this copy."),
    h("p", { class: "quiet" }, `Tried on ${windows.toLocaleString()} windows. `, found.config_hash === hash ? "It decides as the configuration in force does." : ""),
    ...found.trials.map(trial)];
}

function trial(each) {
  const range = each.since === null ? "no scores are kept of it" : `${each.windows.toLocaleString()} windows, ${moment(each.since)} to ${moment(each.until)}${each.complete ? "" : "; older ones were left out"}`;
  return h("section", { class: "card" }, h("h3", {}, each.source), h("p", { class: "quiet" }, range),
    each.unscored.length > 0 && h("p", { class: "notice", "data-tone": "warning" }, `Nothing can be said of ${each.unscored.join(", ")}: what it looks for was never scored.`),
    h("ol", { class: "changes" }, each.events.map((event) => h("li", { "data-change": event.change },
      h("b", {}, event.change), h("span", {}, moment(unixOf(event.start_time))), h("strong", {}, event.rule_id), severity(event.severity),
      h("span", { class: "quiet" }, `${share(event.peak_score)} · ${event.end_time ? lasting(unixOf(event.end_time) - unixOf(event.start_time)) : "open"}`)))));
}
