// Lyrics with times as a person reads and corrects them, in the form of an LRC file: see `labels/lrc.py`, which reads it.

const PAUSE_S = 0.5;
const LAST_S = 4; // as long as the last line is thought to last

function clocked(seconds) {
  const hundredths = Math.round(seconds * 100);
  const [minutes, rest] = [Math.floor(hundredths / 6000), hundredths % 6000];
  return `${String(minutes).padStart(2, "0")}:${(rest / 100).toFixed(2).padStart(5, "0")}`;
}

const joined = (text) => text.trim().split(/\s+/).join(" ");

// The timed texts of each line, with the marks around them; null where they are not all of the lyrics.
function placed(lyrics, times) {
  const waiting = times.map((each) => ({ ...each, text: joined(each.text) }));
  const lines = lyrics.split("\n").map((line) => {
    const found = [];
    let rest = joined(line);
    while (rest && waiting.length) {
      const before = /^[^\p{L}\p{N}\s]*\s*/u.exec(rest)[0];
      const mark = rest.startsWith(waiting[0].text) ? "" : before;
      if (!rest.slice(mark.length).startsWith(waiting[0].text)) return null;
      const next = waiting.shift();
      const after = /^[^\p{L}\p{N}\s]*/u.exec(rest.slice(mark.length + next.text.length))[0];
      found.push({ ...next, text: mark + next.text + after });
      rest = rest.slice(found.at(-1).text.length).trim();
    }
    return rest ? null : found;
  });
  return waiting.length || lines.includes(null) ? null : lines;
}

// Lyrics as LRC lines; as they are where they have no times, or where some words have none: LRC would lose those.
export function asLrc(lyrics, times) {
  const lines = times.length ? placed(lyrics, times) : null;
  if (!lines) return lyrics;
  const byWord = lines.some((line) => line.length > 1);
  const starts = lines.flat().map((each) => each.start_s);
  let count = 0;
  return lines
    .map((line) => {
      count += line.length;
      if (!line.length) return "";
      const last = line.at(-1);
      const thought = starts[count] ?? last.start_s + LAST_S;
      const ends = Math.abs(thought - last.end_s) > PAUSE_S ? clocked(last.end_s) : null;
      const begins = `[${clocked(line[0].start_s)}]`;
      if (!byWord) return `${begins}${last.text}${ends ? `\n[${ends}]` : ""}`;
      const words = line.map(({ start_s, text }) => `<${clocked(start_s)}>${text}`).join(" ");
      return `${begins}${words}${ends ? ` <${ends}>` : ""}`;
    })
    .join("\n");
}

// The words alone.
export function withoutTimes(text) {
  const plain = text.replace(/\[\d+:\d[\d.:]*\]\s*|<\d+:\d[\d.:]*>/g, "");
  return plain === text ? text : plain.replace(/^\s*\[[a-z]+:.*\]\s*$/gim, "").trim();
}
