"""GET /v1/spaces: what a client has to know of a search space."""

import requests
from conftest import BUILT_IN, CELL


def get(service, path, **keywords):
    return requests.get(service.url + path, timeout=30, **keywords)


def test_every_space_is_listed_as_it_is_given_alone(service):
    listed = get(service, "/v1/spaces")
    assert listed.status_code == 200 and listed.headers["Content-Type"] == "application/json"
    spaces = listed.json()["spaces"]
    assert [(space["name"], space["declared"]) for space in spaces] == [(name, False) for name in BUILT_IN]
    assert listed.json()["malformed"] == []
    for space in spaces:
        assert get(service, "/v1/spaces/" + space["name"]).json() == space


def test_a_space_says_its_genes_and_its_served_model(service):
    space = get(service, "/v1/spaces/nasbench201").json()
    assert set(space) == {
        *("name", "about", "notation", "n_genes", "genes", "n_architectures", "conditions", "example", "declared", "interval_coverage", "model")
    }
    assert (space["n_genes"], space["n_architectures"]) == (6, 15625)
    assert space["conditions"] == {"input": "1x3x224x224", "batch": 1}
    assert len(space["genes"]) == 6 and space["genes"][0]["values"] == [1, 2, 3, 4, 5]
    assert get(service, "/v1/spaces/fbnetv3").json()["n_architectures"] is None
    reply = service.predict(search_space="nasbench201", hardware=[2, 3, 1, 7.46], architectures=[CELL])
    assert space["model"]["version"] == reply["model"]["version"]
    assert space["model"]["predictor"] == reply["model"]["predictor"]


def test_the_example_can_be_predicted_in_both_forms(service):
    for space in get(service, "/v1/spaces").json()["spaces"]:
        example = space["example"]
        latency = service.predict(
            search_space=space["name"],
            hardware=[2, 3, 1, 7.46],
            architectures=[example["genes"], example["notation"]],
        )["latency_ms"]
        assert latency[0] == latency[1] > 0


def test_a_space_without_a_predictor_has_the_model_null(root, start):
    for file in (root / "result" / "fbnetv3").iterdir():
        file.unlink()
    assert get(start(root), "/v1/spaces/fbnetv3").json()["model"] is None


def test_what_is_not_there_is_refused(service):
    missing = get(service, "/v1/spaces/darts")
    assert missing.status_code == 404
    assert missing.json()["detail"] == f'there is no search space "darts"; there are {", ".join(BUILT_IN)}'
    assert get(service, "/v1/spaces/").status_code == 404
    assert get(service, "/v1/spaces/nasbench201/x").status_code == 404
    for method in ("POST", "PATCH"):
        refused = requests.request(method, service.url + "/v1/spaces/nasbench201", timeout=30)
        assert refused.status_code == 405 and "GET" in refused.headers["Allow"]
