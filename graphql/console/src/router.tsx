// The addresses of the console. Every view is one: what is chosen on a screen is in its query.
//
// Values in the query stay text: the router's own reading would make numbers of ids that have only
// digits.
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  retainSearchParams,
} from "@tanstack/react-router";
import { Broken, NotFound, Shell } from "./screens/Shell";
import { Sessions } from "./screens/sessions/Sessions";

export interface Search {
  /** Filter. */
  q?: string;
  /** Range of time. */
  t?: string;
  /** Order; `-` before it: greatest first. */
  sort?: string;
  /** Columns. */
  cols?: string;
  /** Zone in which times are shown. */
  tz?: string;
  /** Request that is open. */
  r?: string;
  /** Filter of the requests within a session. */
  rq?: string;
  /** Part of a screen. */
  part?: string;
}

const NAMES = ["q", "t", "sort", "cols", "tz", "r", "rq", "part"] as const;

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  validateSearch: (given: Record<string, unknown>): Search => {
    const search: Search = {};
    for (const name of NAMES) {
      const value = given[name];
      if (typeof value === "string") search[name] = value;
    }
    return search;
  },
  search: { middlewares: [retainSearchParams(["tz"])] },
});

const sessions = createRoute({ getParentRoute: () => root, path: "/sessions", component: Sessions });
const session = createRoute({
  getParentRoute: () => root,
  path: "/sessions/$id",
  component: lazyRouteComponent(() => import("./screens/session/Session"), "Session"),
});
const overview = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: lazyRouteComponent(() => import("./screens/overview/Overview"), "Overview"),
});
const rules = createRoute({
  getParentRoute: () => root,
  path: "/rules",
  component: lazyRouteComponent(() => import("./screens/rules/Rules"), "Rules"),
});
const status = createRoute({
  getParentRoute: () => root,
  path: "/status",
  component: lazyRouteComponent(() => import("./screens/status/Status"), "Status"),
});
const settings = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  component: lazyRouteComponent(() => import("./screens/settings/Settings"), "Settings"),
});

export const router = createRouter({
  routeTree: root.addChildren([overview, sessions, session, rules, status, settings]),
  scrollRestoration: false,
  defaultPreload: "intent",
  defaultErrorComponent: Broken,
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(search)) {
      if (typeof value === "string" && value !== "") params.set(name, value);
    }
    const text = params.toString();
    return text === "" ? "" : `?${text}`;
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
