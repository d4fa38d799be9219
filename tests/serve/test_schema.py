"""The OpenAPI document is true: schemathesis asks for everything that it describes, and for what it forbids."""

import base64

import hypothesis.strategies as st
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from reslab.serve.limits import Limits
from tests.serve.door import one_of_each, served

FILES = st.sampled_from(list(one_of_each().values()))
for kind in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, FILES)
schemathesis.openapi.format("binary", FILES)
schemathesis.openapi.format("byte", FILES.map(lambda data: base64.b64encode(data).decode()))


@pytest.fixture(scope="module")
def api(engine):
    with served(engine, Limits(max_bytes=200_000)) as client:
        yield schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict"), ("POST", "/explain"), ("GET", "/model"), ("GET", "/livez"), ("GET", "/readyz"),
        ("GET", "/metrics"), ("GET", "/health"), ("GET", "/models"), ("GET", "/models/{name}"),
        ("POST", "/models/{name}/predict"), ("POST", "/models/{name}/explain"),
    ],
)  # fmt: skip
def test_every_path_keeps_its_word(api, method, path, mode):
    operation = api[path][method]

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        case.call_and_validate()

    try:
        ask()
    except Unsatisfiable:  # nothing can be wrong about a request without parameters
        assert mode is GenerationMode.NEGATIVE and method == "GET"


def test_every_path_is_asked(api):
    paths = {path for path, _ in api.raw_schema["paths"].items()}
    status = {"/livez", "/readyz", "/health", "/metrics"}
    named = {"/models/{name}", "/models/{name}/predict", "/models/{name}/explain"}
    assert paths == {"/predict", "/explain", "/model", "/models"} | status | named
