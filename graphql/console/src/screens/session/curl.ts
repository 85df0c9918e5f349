// A recorded request as a command for a shell. What is recorded was written by a stranger: each word
// is quoted so that a shell takes it as text, and characters that steer a terminal are escaped.
import { escapes } from "../../lib/text";

export interface Recorded {
  readonly method: string;
  readonly host: string | null;
  readonly path: string;
  readonly query: string | null;
  readonly request: {
    readonly headers: readonly { readonly name: string; readonly value: string }[];
    readonly cookies: readonly { readonly name: string; readonly value: string }[];
    readonly form: readonly { readonly name: string; readonly value: string }[];
    readonly body: string | null;
  };
}

export function quoted(word: string): string {
  if (/^[A-Za-z0-9_./:=@%+-]+$/.test(word)) return word;
  if (!escapes(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  let text = "";
  for (const byte of new TextEncoder().encode(word)) {
    const c = String.fromCharCode(byte);
    if (byte < 0x20 || byte > 0x7e) text += `\\x${byte.toString(16).padStart(2, "0")}`;
    else text += c === "'" || c === "\\" ? `\\${c}` : c;
  }
  return `$'${text}'`;
}

export function curl({ method, host, path, query, request }: Recorded): string {
  const words = ["curl", "-X", quoted(method), quoted(`https://${host ?? "HOST"}${path}${query ? `?${query}` : ""}`)];
  for (const { name, value } of request.headers) words.push("-H", quoted(`${name}: ${value}`));
  if (request.cookies.length > 0 && !request.headers.some(({ name }) => name.toLowerCase() === "cookie")) {
    words.push("-b", quoted(request.cookies.map(({ name, value }) => `${name}=${value}`).join("; ")));
  }
  if (request.body !== null) words.push("--data-raw", quoted(request.body));
  else for (const { name, value } of request.form) words.push("--data-urlencode", quoted(`${name}=${value}`));
  return words.join(" ");
}
