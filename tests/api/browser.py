"""A real browser for the tests of the dashboard: one Chromium, and pages that fail the test on any fault that they show.

A test module takes the fixtures with

    from browser import browser, check_axe, fits_width, open_page  # noqa: F401

and opens a page with open_page(url, dark=False, width=1280, height=800): several in one test if need be. What went
wrong in any of them (an error on the console, an uncaught exception, a violation of the Content-Security-Policy, a request to
another host, a request that the service failed) fails the test when it ends.
"""

import urllib.parse

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]
LOCAL_SCHEMES = {"blob", "data", "about"}  # addresses that leave nothing to send
TOLD_OF_REFUSALS = "Failed to load resource: the server responded with a status of 4"

# told on the console, with the error that the browser writes there itself
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


BROWSER = pytest.StashKey()


@pytest.fixture(scope="session")
def browser(request):
    """One Chromium for the whole run: each module that imports this has a fixture of its own, and a process has one Playwright."""
    config = request.config
    if BROWSER not in config.stash:
        playwright = sync_playwright().start()
        config.add_cleanup(playwright.stop)
        config.stash[BROWSER] = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        config.add_cleanup(config.stash[BROWSER].close)
    return config.stash[BROWSER]


class Faults(list):
    """What went wrong in the pages of one host. `refusals_expected`: the service's 4xx are part of the test."""

    refusals_expected = False

    def watch(self, context, host):
        context.on("console", self.hear)
        context.on("weberror", lambda error: self.append(f"uncaught: {error.error}"))
        context.on("response", lambda reply: reply.status >= 500 and self.append(f"{reply.status}: {reply.url}"))
        context.on("request", lambda request: self.look(request.url, host))

    def hear(self, message):
        is_refusal = message.text.startswith(TOLD_OF_REFUSALS)
        if message.type == "error" and not (is_refusal and self.refusals_expected):
            self.append(f"console: {message.text} ({message.location.get('url')})")

    def look(self, url, host):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in LOCAL_SCHEMES and parts.netloc != host:
            self.append(f"a request to another host: {url}")


@pytest.fixture
def open_page(browser):
    """open_page(url, dark=False, width=1280, height=800, refusals=False, **options of the context) gives a page of a context of its own."""
    opened = []

    def open_one(url, dark=False, width=1280, height=800, refusals=False, **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light",
            accept_downloads=True, **options)
        faults = Faults()
        faults.refusals_expected = refusals
        faults.watch(context, urllib.parse.urlsplit(url).netloc)
        opened.append((context, faults))
        context.add_init_script(REPORT_VIOLATIONS)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(url)
        return page

    yield open_one
    for context, _ in opened:
        context.close()
    none_of([fault for _, faults in opened for fault in faults])


def none_of(faults):
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def check_axe(page):
    """Fails on what axe-core calls a serious or critical fault of accessibility."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    none_of([
        f"{fault['impact']} {fault['id']}: {fault['help']}: {node['target']} {node['html'][:120]}"
        for fault in found if fault["impact"] in ("serious", "critical") for node in fault["nodes"]
    ])


def fits_width(page):
    """Whether the page as a whole needs no scrolling to the side."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
