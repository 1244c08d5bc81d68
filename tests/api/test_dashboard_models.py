"""The dashboard's view of models, in a browser: what each version is, and another one served by a click."""

import re

import pytest
import requests
from browser import browser, check_axe, fits_width, open_page  # noqa: F401

SPACE = "nasbench201"
ASK = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}


def models(service, space=SPACE):
    return requests.get(f"{service.url}/v1/models/{space}", timeout=30).json()


def card(page, version):
    return page.get_by_role("article", name=version)


def open_models(open_page, service, **options):  # noqa: F811
    page = open_page(service.url + "/#/models", **options)
    page.get_by_role("heading", name=SPACE).wait_for()
    return page


def answer(page, version, button):
    card(page, version).get_by_role("button", name="Activate").click()
    dialog = page.get_by_role("dialog", name=f"Serve {version}?")
    dialog.get_by_role("button", name=button).click()
    dialog.wait_for(state="detached")


def test_every_version_is_shown_with_its_figures(open_page, shared):  # noqa: F811
    page = open_models(open_page, shared)
    for space in (SPACE, "fbnetv3"):
        for model in models(shared, space)["versions"]:
            text = card(page, model["version"]).inner_text()
            assert f"R {model['r_held_out']:.4f} ({model['validation']})" in text
            assert f"{model['n_rows']} architectures" in text and f"{len(model['devices'])} devices" in text
            assert "input 1x3x224x224, batch 1" in text and ("served" in text.splitlines()) == model["is_served"]
            assert card(page, model["version"]).get_by_role("button", name="Activate").count() == (not model["is_served"])


@pytest.mark.parametrize("dark, width", [(False, 1280), (True, 390)], ids=["light", "dark on a phone"])
def test_the_view_is_accessible_and_fits(open_page, shared, dark, width):  # noqa: F811
    page = open_models(open_page, shared, dark=dark, width=width)
    assert fits_width(page)
    check_axe(page)
    page.get_by_role("button", name=re.compile("^Activate mlp")).first.press("Enter")
    page.get_by_role("dialog").wait_for()
    if not dark:
        check_axe(page)
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert re.match("Activate mlp", page.evaluate("document.activeElement.ariaLabel"))  # where the reader was


def test_a_version_that_is_activated_is_served(open_page, shared):  # noqa: F811
    before, other = models(shared)["served"]["version"], shared.predict(**ASK, model="mlp")["model"]["version"]
    page = open_models(open_page, shared)
    answer(page, other, "Cancel")
    assert models(shared)["served"]["version"] == shared.predict(**ASK)["model"]["version"] == before
    answer(page, other, "Serve it")
    page.get_by_role("status").get_by_text(f"{SPACE} is served by {other} now").wait_for()
    card(page, before).get_by_role("button", name="Activate").wait_for()
    assert card(page, other).get_by_role("button", name="Activate").count() == 0
    assert models(shared)["served"]["version"] == shared.predict(**ASK)["model"]["version"] == other


def test_a_refused_activation_is_told_and_changes_nothing(open_page, root, start):  # noqa: F811
    service = start(root)
    page = open_models(open_page, service, refusals=True)
    gone = next(model["version"] for model in models(service)["versions"] if not model["is_served"])
    served = models(service)["served"]["version"]
    (root / "result" / SPACE / "pretrainmodel-mlp.safetensors").unlink()
    answer(page, gone, "Serve it")
    page.get_by_role("alert").get_by_text(f'there is no model "{gone}" of {SPACE}').wait_for()
    card(page, gone).wait_for(state="detached")
    assert models(service)["served"]["version"] == served
