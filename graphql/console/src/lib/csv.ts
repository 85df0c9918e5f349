// CSV as spreadsheets read it (RFC 4180), with what they would run as a formula defused.

/** A spreadsheet runs a cell that begins with one of these. */
const FORMULA = /^[=+\-@\t\r]/;

/** A text cell: a leading `'` keeps it text. */
export function textCell(value: string): string {
  const safe = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A number stays one, negative or not. */
export function numberCell(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return "";
  const text = String(value);
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? text : textCell(text);
}

export interface Column<Row> {
  readonly name: string;
  readonly cell: (row: Row) => string;
}

export function csv<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map((column) => textCell(column.name)).join(",")];
  for (const row of rows) lines.push(columns.map((column) => column.cell(row)).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

export const jsonLines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** Offers a text as a file to save. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
