// Times, durations and numbers as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const dated = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longAgo = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

const A_YEAR_S = 31_536_000;

/** Event time of a recording that was given no start time counts from its beginning: nothing else is of 1970. */
export const isDated = (unix) => unix < 0 || unix >= A_YEAR_S;

/** A place in a recording: 0:03, 1:02:03. */
export function position(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

/** Event time: of the clock, or the place in a recording. */
export function moment(unix) {
  if (!isDated(unix)) return position(unix);
  const date = new Date(unix * 1000), today = new Date();
  if (date.toDateString() === today.toDateString()) return clock.format(date);
  return `${(date.getFullYear() === today.getFullYear() ? dated : longAgo).format(date)} ${clock.format(date)}`;
}

export function tick(unix, step) {
  if (!isDated(unix)) return position(unix);
  return (step < 60 ? clock : short).format(new Date(unix * 1000));
}

export const unixOf = (text) => (text ? Date.parse(text) / 1000 : null);

export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : position(seconds);
}

export function ago(milliseconds) {
  const seconds = Math.max(0, Date.now() - milliseconds) / 1000;
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

export const share = (score) => (score === null || score === undefined ? "–" : score.toFixed(2));

export function bytes(count) {
  if (!count) return "0 MiB";
  return count < 1 << 30 ? `${(count / (1 << 20)).toFixed(count < 10 << 20 ? 1 : 0)} MiB` : `${(count / (1 << 30)).toFixed(1)} GiB`;
}

export const place = (event) => (event.region ? `${event.source_id} · ${event.region}` : event.source_id);
