// The one control of everything that is live: live, paused, or disconnected and since when.
import { useEffect, useState, useSyncExternalStore } from "react";
import { connectionStore, retryNow } from "../api/socket";
import { count, length, toNumber, useTimes } from "../lib/format";
import { useKeys } from "../lib/keys";
import { controlStore } from "../live/control";
import { statusAt, useStatus } from "../live/status";
import { announce } from "../ui/announce";
import { Icon } from "../ui/icons";

export function Live() {
  const connection = useSyncExternalStore(connectionStore.subscribe, connectionStore.get);
  const { paused, held } = useSyncExternalStore(controlStore.subscribe, controlStore.get);
  const status = useStatus();
  const times = useTimes();
  const toggle = () => {
    announce(paused ? "Live again" : "Paused");
    controlStore.set({ paused: !paused });
  };
  useKeys({ p: toggle });

  if (connection.kind === "lost") {
    return (
      <div className="live lost" role="status">
        <span className="dot" aria-hidden="true" />
        <strong>Disconnected</strong>
        {status && <span>as of {times.near(statusAt())}</span>}
        <Retry at={connection.retryAt} />
        <button type="button" className="quiet" onClick={retryNow}>
          Retry now
        </button>
      </div>
    );
  }
  const lag = status?.lagMs === null || status === null ? null : Math.max(0, toNumber(status.lagMs));
  return (
    <div className={paused ? "live paused" : "live"}>
      <span className="dot" aria-hidden="true" />
      {paused ? (
        <>
          <strong>Paused</strong>
          <span className="num">{count(held)} waiting</span>
        </>
      ) : (
        <>
          <strong>{status ? "Live" : "Connecting"}</strong>
          {status && (
            <span
              className="num muted"
              title="The last committed epoch, and how far its event time is behind the clock"
            >
              epoch {count(status.epoch)}
              {lag === null ? "" : ` · lag ${length(lag)}`}
            </span>
          )}
        </>
      )}
      <button
        type="button"
        className="quiet icon"
        aria-label={paused ? "Go on" : "Pause"}
        aria-pressed={paused}
        onClick={toggle}
      >
        <Icon name={paused ? "play" : "pause"} />
      </button>
    </div>
  );
}

function Retry({ at }: { at: number }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  return <span className="num muted">retry in {Math.max(0, Math.ceil((at - now) / 1000))} s</span>;
}
