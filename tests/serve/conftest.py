import pytest

from reslab.engine.open import open_engine
from tests.serve.door import served

MODEL = "cifar10_resnet20"


@pytest.fixture(scope="session")
def engine():
    return open_engine(MODEL)


@pytest.fixture(scope="module")
def client(engine):
    """A server with default limits."""
    with served(engine) as found:
        yield found
