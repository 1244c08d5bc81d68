import "uplot/dist/uPlot.min.css";
import "./style.css";
import { signal } from "@preact/signals";
import { render } from "preact";
import { TokenDialog } from "./token_dialog.jsx";
import { Devices } from "./views/devices.jsx";
import { Explore } from "./views/explore.jsx";
import { Health } from "./views/health.jsx";
import { Jobs } from "./views/jobs.jsx";
import { Models } from "./views/models.jsx";

/** name in the address (#/explore), title, view */
const VIEWS = [
  ["explore", "Explore", Explore],
  ["devices", "Devices", Devices],
  ["jobs", "Jobs", Jobs],
  ["models", "Models", Models],
  ["health", "Health", Health],
];

const address = signal(location.hash);
addEventListener("hashchange", () => {
  address.value = location.hash;
});

function App() {
  // #/jobs/<id>: what follows the view's name is the view's own
  const [name, ...rest] = address.value.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const [current, title, View] = VIEWS.find((view) => view[0] === name) ?? VIEWS[0];
  document.title = `${title} · dgld`;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>
        Skip to content
      </a>
      <header class="top">
        <span class="brand">
          <img src="/assets/icon.svg" alt="" width="24" height="24" /> dgld
        </span>
        <nav aria-label="Views">
          {VIEWS.map(([view, label]) => (
            <a key={view} href={`#/${view}`} aria-current={view === current ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <a class="api" href="/docs">API</a>
      </header>
      <main id="main" tabIndex={-1}>
        <View rest={rest} />
      </main>
      <TokenDialog />
    </>
  );
}

render(<App />, document.getElementById("app"));
