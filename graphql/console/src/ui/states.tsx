// What a screen shows when it has nothing to show yet, nothing at all, or an error.
import { type ReactNode, useEffect, useState } from "react";
import { ApiError } from "../api/client";
import "./states.css";
import { Text } from "./Text";

/** Shows itself after a moment only, so that what is quick does not flicker. */
export function Loading({ lines = 6, what }: { lines?: number; what: string }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 200);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="loading" role="status">
      <span className="hidden">Loading {what}</span>
      {late && [...Array(lines).keys()].map((line) => <div key={line} className="bone" />)}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty" role="status">
      <h2>{title}</h2>
      <div className="muted stack">{children}</div>
    </div>
  );
}

/** An error beside what was shown before it. */
export function Failed({ error, retry, what }: { error: unknown; retry?: () => void; what: string }) {
  const known = error instanceof ApiError ? error : new ApiError("INTERNAL", String(error));
  return (
    <div className="failed" role="alert">
      <div>
        <strong>{known.forbidden ? `You may not see ${what}.` : `Could not read ${what}.`}</strong>{" "}
        <Text of={known.message} /> <code>{known.code}</code>
      </div>
      {retry && !known.forbidden && (
        <button type="button" onClick={retry}>
          Retry
        </button>
      )}
    </div>
  );
}
