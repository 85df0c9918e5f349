// Preferences of this browser.
import { useState, useSyncExternalStore } from "react";
import { browserZone, isZone } from "../../lib/format";
import { prefsStore, type Theme } from "../../lib/prefs";
import { useChangeView, useView } from "../../ui/useView";

const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

export function Settings() {
  const prefs = useSyncExternalStore(prefsStore.subscribe, prefsStore.get);
  const view = useView();
  const change = useChangeView();
  const [zone, setZone] = useState(view.tz ?? prefs.zone);
  const good = isZone(zone);
  const choose = (tz: string) => {
    setZone(tz);
    if (!isZone(tz)) return;
    prefsStore.set({ zone: tz });
    change({ tz }, true);
  };
  return (
    <div className="page settings">
      <h1>Settings</h1>
      <p className="muted">
        They hold for this browser. What the server does is set by its rules and its configuration.
      </p>
      <fieldset className="card stack">
        <legend className="hidden">Theme</legend>
        <h2>Theme</h2>
        <div className="row">
          {THEMES.map(([theme, name]) => (
            <label key={theme} className="check">
              <input
                type="radio"
                name="theme"
                checked={prefs.theme === theme}
                onChange={() => prefsStore.set({ theme })}
              />
              {name}
            </label>
          ))}
        </div>
      </fieldset>
      <section className="card stack">
        <h2>Time zone</h2>
        <label>
          Times are shown, typed and copied in
          <br />
          <input
            type="text"
            list="zones"
            value={zone}
            aria-invalid={!good}
            aria-describedby="zone-note"
            onChange={(event) => choose(event.target.value)}
          />
        </label>
        <datalist id="zones">
          {["UTC", ...Intl.supportedValuesOf("timeZone")].map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <p id="zone-note" className={good ? "muted small" : "small"}>
          {good
            ? "The zone is part of every address, so a link shows everybody the same times."
            : "There is no such zone: UTC, or a name such as Europe/Berlin."}
        </p>
        <div className="row">
          <button type="button" onClick={() => choose("UTC")}>
            UTC
          </button>
          <button type="button" onClick={() => choose(browserZone())}>
            This browser: {browserZone()}
          </button>
        </div>
      </section>
      <section className="card stack">
        <h2>Keyboard</h2>
        <label className="check">
          <input
            type="checkbox"
            checked={prefs.keys}
            onChange={(event) => prefsStore.set({ keys: event.target.checked })}
          />
          Shortcuts of a single key, such as / and j
        </label>
        <p className="muted small">
          Switch them off if you speak to your computer. Arrows, Enter and Esc work all the same.
        </p>
      </section>
    </div>
  );
}
