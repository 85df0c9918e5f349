// What every screen stands in: navigation, the state of the feeds, the zone, and the shortcuts.
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useState, useSyncExternalStore } from "react";
import { browserZone, isZone, ZoneContext } from "../lib/format";
import { useKeys } from "../lib/keys";
import { prefsStore } from "../lib/prefs";
import { Icon, type IconName } from "../ui/icons";
import { Failed } from "../ui/states";
import { useChangeView, useView } from "../ui/useView";
import { Help } from "./Help";
import { Live } from "./Live";
import "./shell.css";

const SCREENS = [
  { to: "/", name: "Overview", icon: "overview", key: "o" },
  { to: "/sessions", name: "Sessions", icon: "sessions", key: "s" },
  { to: "/rules", name: "Rules", icon: "rules", key: "r" },
  { to: "/status", name: "Status", icon: "status", key: "t" },
  { to: "/settings", name: "Settings", icon: "settings", key: "e" },
] as const satisfies readonly { to: string; name: string; icon: IconName; key: string }[];

export const usePrefs = () => useSyncExternalStore(prefsStore.subscribe, prefsStore.get);

export function Shell() {
  const view = useView();
  const change = useChangeView();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const [help, setHelp] = useState(false);
  const zone = view.tz !== undefined && isZone(view.tz) ? view.tz : "UTC";

  // A link shows everybody the same times: the zone that is preferred goes into the address.
  useEffect(() => {
    const preferred = prefsStore.get().zone;
    if (view.tz === undefined && preferred !== "UTC" && isZone(preferred)) change({ tz: preferred }, true);
  }, [view.tz, change]);

  useKeys({
    "?": () => setHelp(true),
    ...Object.fromEntries(SCREENS.map(({ to, key }) => [`g ${key}`, () => void navigate({ to })])),
  });

  useEffect(() => {
    const screen = SCREENS.find(({ to }) => (to === "/" ? pathname === "/" : pathname.startsWith(to)));
    document.title = screen ? `${screen.name} · Spoor` : "Spoor";
  }, [pathname]);

  return (
    <ZoneContext value={zone}>
      <div className="shell">
        <a className="skip" href="#main">
          Skip to the content
        </a>
        <nav className="side" aria-label="Screens">
          <Link to="/" className="brand">
            <svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true">
              <rect width="32" height="32" rx="8" fill="#0f766e" />
              <g fill="#fff">
                <ellipse cx="11" cy="22" rx="3.2" ry="4.6" />
                <circle cx="11" cy="14.2" r="2" />
                <ellipse cx="21" cy="15" rx="3.2" ry="4.6" />
                <circle cx="21" cy="7.2" r="2" />
              </g>
            </svg>
            <span>Spoor</span>
          </Link>
          <ul>
            {SCREENS.map(({ to, name, icon }) => (
              <li key={to}>
                <Link to={to} activeOptions={{ exact: to === "/", includeSearch: false }}>
                  <Icon name={icon} size={18} />
                  <span>{name}</span>
                </Link>
              </li>
            ))}
          </ul>
          <div className="side-end">
            <a href="/graphiql">
              <Icon name="api" size={18} />
              <span>GraphiQL</span>
            </a>
            <button type="button" className="quiet" onClick={() => setHelp(true)}>
              <Icon name="help" size={18} />
              <span>Shortcuts</span>
            </button>
          </div>
        </nav>
        <header className="top">
          <Live />
          <Zone zone={zone} />
        </header>
        <main id="main" tabIndex={-1}>
          <Outlet />
        </main>
        <div id="announcements" className="hidden" aria-live="polite" />
        {help && <Help close={() => setHelp(false)} />}
      </div>
    </ZoneContext>
  );
}

function Zone({ zone }: { zone: string }) {
  const change = useChangeView();
  const names = [...new Set(["UTC", browserZone(), prefsStore.get().zone, zone])].filter(isZone);
  return (
    <label className="zone">
      <span className="muted small">Times in</span>
      <select
        value={zone}
        onChange={(event) => {
          const tz = event.target.value;
          prefsStore.set({ zone: tz });
          change({ tz }, true);
        }}
      >
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

/** A screen that failed to draw, or whose code is of a build the server no longer has. */
export function Broken({ error }: { error: unknown }) {
  return (
    <div className="page">
      <Failed error={error} retry={() => location.reload()} what="this screen" />
    </div>
  );
}

export function NotFound() {
  return (
    <div className="page">
      <h1>There is no such page</h1>
      <p>
        The address leads to no screen of the console. Begin at the <Link to="/">overview</Link>.
      </p>
    </div>
  );
}
