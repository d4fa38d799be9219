import pytest

from reslab.cli.app import run
from tests.pictures import colour_folder

QUICK = ["--layout", "channels-last", "--model", "resnet20", "--size", "16", "--epochs", "3", "--batch-size", "8"]
"""The layout is not measured: on a busy machine two measurements may differ, and then the last digits do."""


@pytest.fixture
def reslab(capsys):
    """Run one command in this process: exit code, standard output, standard error."""

    def call(*tokens):
        capsys.readouterr()
        code = run([str(t) for t in tokens])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture(scope="session")
def colours(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="session")
def trained(colours, tmp_path_factory):
    """A finished run on the colours."""
    folder = tmp_path_factory.mktemp("runs") / "colours"
    assert run(["train", str(colours), *QUICK, "--out", str(folder)]) == 0
    return folder
