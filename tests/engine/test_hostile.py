"""Models that read other files, hold no numbers, or say less than their graph: refused in one sentence when opened."""

import copy
import json
import pickle

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reslab.engine.onnx import from_bytes, open_exported
from reslab.engine.open import open_engine
from reslab.engine.openvino import open_openvino
from reslab.engine.protobuf import check_tensors
from reslab.errors import ResLabError
from reslab.evaluate.predict import load_model
from reslab.export.foreign import open_foreign_graph
from reslab.model.file import KEY
from reslab.model.run import packaged_file

GRAPH = packaged_file("cifar10_resnet20", ".onnx")
LOCATION = ".ssh/id_rsa"


@pytest.fixture
def graph():
    return onnx.load(GRAPH)


def elsewhere(name="secret", **changes):
    """A tensor that lies in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], **changes)
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", LOCATION
    return tensor


def graph_of(*tensors, nodes=()):
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])
    return helper.make_graph(list(nodes), "inner", [], [value], initializer=list(tensors))


def constant(**attribute):
    return helper.make_node("Constant", [], ["constant"], **attribute)


def sparse():
    found = onnx.SparseTensorProto(dims=[2])
    found.values.CopyFrom(elsewhere())
    return found


def branch(*nodes, tensors=()):
    return helper.make_node("If", ["c"], ["o"], then_branch=graph_of(*tensors, nodes=nodes))


PLACES = {
    "initializer": lambda g: g.graph.initializer.append(elsewhere()),
    "sparse initializer": lambda g: g.graph.sparse_initializer.append(sparse()),
    "constant": lambda g: g.graph.node.append(constant(value=elsewhere())),
    "sparse constant": lambda g: g.graph.node.append(constant(sparse_value=sparse())),
    "list of tensors": lambda g: g.graph.node.append(constant(values=[elsewhere()])),
    "subgraph": lambda g: g.graph.node.append(branch(tensors=[elsewhere()])),
    "subgraph of a subgraph": lambda g: g.graph.node.append(
        branch(helper.make_node("Loop", [], ["x"], body=graph_of(elsewhere())))
    ),
    "function": lambda g: g.functions.append(
        helper.make_function("d", "f", [], ["constant"], [constant(value=elsewhere())], [helper.make_opsetid("", 20)])
    ),
    "training": lambda g: g.training_info.add().initialization.CopyFrom(graph_of(elsewhere())),
    "entries without the mark": lambda g: g.graph.initializer.append(elsewhere(data_location=0)),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_tensor_lies_in_another_file(place, graph, tmp_path):
    PLACES[place](graph)
    path = tmp_path / "m.onnx"
    path.write_bytes(graph.SerializeToString())
    for opened in (open_exported, open_openvino):
        with pytest.raises(ResLabError, match="'secret' in another file"):
            opened(path)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("where", ["../secret", "/etc/hostname", "link"])
def test_adopt_reads_nothing_but_files_beside_the_graph(place, where, graph, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.LOCATION", where)
    del graph.metadata_props[:]
    PLACES[place](graph)
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "m.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ResLabError, match="cannot be read|which is not there|in another file"):
        open_foreign_graph(folder / "m.onnx", None, None)


def test_the_walk_reads_what_the_onnx_package_writes(graph):
    check_tensors(graph.SerializeToString(), GRAPH)
    for data in (b"", b"\x3a", b"\x3a\xff\xff\xff\xff\x0f", b"\x3b", bytes(9), b"\xff" * 99):
        with pytest.raises(ResLabError, match="damaged or not an ONNX model"):
            from_bytes(data, GRAPH)


def replaced(graph, name, numbers):
    (old,) = (tensor for tensor in graph.graph.initializer if tensor.name == name)
    old.CopyFrom(numpy_helper.from_array(numbers, name))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_with_the_tensors_name(odd, graph, tmp_path):
    largest = max(graph.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    numbers = numpy_helper.to_array(largest).copy()
    numbers.flat[7] = odd
    replaced(graph, largest.name, numbers)
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    for opened in (open_exported, open_openvino):
        with pytest.raises(ResLabError, match=f"tensor '{largest.name}' holds numbers that are not finite"):
            opened(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": ["a", "b"], "calibration": {}}, "names 2 classes"),
        ({"classes": ["a"] * 10}, "two classes are named 'a': number 1 and number 2"),
        ({"calibration": {"temperature": 0}}, "temperature 0 is not positive"),
        ({"calibration": {"temperature": None}}, "calibration.temperature is None, not a number"),
        ({"calibration": {}, "scores": {"val": float("nan")}}, "holds nan"),
        ({"preprocess": {"size": "32"}}, "preprocess.size is '32', not a whole number"),
        ({"format": 99}, "format 99"),
        ({"task": "multi"}, "format does not match its task"),
        ({"training": {"val": "x"}}, "training.val"),
        ({"later": 1}, "another version"),
    ],
)
def test_a_card_that_does_not_fit_its_graph_is_refused(change, sentence, graph, tmp_path):
    entry = next(entry for entry in graph.metadata_props if entry.key == KEY)
    entry.value = json.dumps(json.loads(entry.value) | change)
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ResLabError, match=sentence):
        open_exported(tmp_path / "m.onnx")


def test_a_model_can_be_pickled_and_copied(tmp_path):
    model = load_model(GRAPH)
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    first = model.predict(picture)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert twin.predict(picture) == first
    again = open_engine(GRAPH, engine="openvino")
    pixels = picture[None, :32, :32]
    for twin in (pickle.loads(pickle.dumps(again)), copy.deepcopy(again)):
        assert np.array_equal(twin.logits(pixels), again.logits(pixels))


class Nan:
    """An engine whose second picture has no answer."""

    explains = False

    def __init__(self, engine):
        self.engine, self.header, self.seen, self.sha256, self.name = engine, engine.header, engine.seen, "", "nan"

    def logits(self, pixels):
        found = self.engine.logits(pixels)
        found[pixels[:, 0, 0, 0] == 255] = np.nan
        return found


def test_an_answer_that_is_no_number_stops_a_score_or_is_counted(graph):
    from reslab.data.catalog import Picture
    from reslab.evaluate.evaluation import evaluate_engine
    from reslab.evaluate.predict import Model

    engine = Nan(open_exported(GRAPH))
    pictures = [
        Picture(f"{i}.png", np.full((32, 32, 3), value, np.uint8), "cat") for i, value in enumerate((3, 255, 90))
    ]
    with pytest.raises(ResLabError, match=r"no answer for 1.png: the network gave no finite number"):
        evaluate_engine(engine, pictures, "test")
    found = evaluate_engine(engine, pictures, "test", skip_bad=True)
    assert len(found.keys) == 2 and [bad.reason for bad in found.unreadable] == ["the network gave no finite number"]
    assert [row.error for row in Model(engine).predict([p.source for p in pictures])] == [
        None,
        "the network gave no finite number",
        None,
    ]
