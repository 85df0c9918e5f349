// Indents a JSON text without reading it: digits, order and repeated names stay as they were sent.
export function indented(text: string): string {
  let out = "";
  let depth = 0;
  let quoted = false;
  const line = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at] ?? "";
    if (quoted) {
      out += c;
      if (c === "\\") {
        at += 1;
        out += text[at] ?? "";
      } else if (c === '"') quoted = false;
    } else if (c === '"') {
      quoted = true;
      out += c;
    } else if (c === "{" || c === "[") {
      const close = c === "{" ? "}" : "]";
      let next = at + 1;
      while (/\s/.test(text[next] ?? "")) next += 1;
      if (text[next] === close) {
        out += c + close;
        at = next;
      } else {
        depth += 1;
        out += c + line();
      }
    } else if (c === "}" || c === "]") {
      depth = Math.max(0, depth - 1);
      out += line() + c;
    } else if (c === ",") out += c + line();
    else if (c === ":") out += ": ";
    else if (!/\s/.test(c)) out += c;
  }
  return out;
}
