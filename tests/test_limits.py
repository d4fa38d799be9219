"""What a model says about its own answers: accepted or not and why, and which labels may be right; the same by every engine."""

import dataclasses
import json

import numpy as np
import pytest

from reslab.data.catalog import Picture
from reslab.data.reader import load
from reslab.engine.open import open_engine
from reslab.engine.torch import TorchEngine
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import evaluate_engine
from reslab.evaluate.outliers import MEAN_OF, OutlierScorer, mean_features
from reslab.evaluate.predict import Model, SetOptions, load_model
from reslab.export.graph import write_onnx
from reslab.metrics.outlier import boundary_distance, class_gaps
from reslab.model.file import Calibration, Header, header_document, parse_header, read_model, write_model
from reslab.nn.zoo import build_named
from reslab.pixels.preprocess import Preprocess

CLASSES = ("ant", "bee", "cat", "dog")


def noise(seed, side=16):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def known():
    """Pictures that the model gets to know: noise of single pixels, labelled by the network itself, mostly."""
    network = build_named("resnet20", seed=1, num_classes=len(CLASSES))
    network.head.weight.data *= 8
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16))
    engine = TorchEngine(network, header)
    pixels = np.stack([noise(i) for i in range(240)])
    answers = engine.logits(pixels).argmax(1)
    answers[::10] = (answers[::10] + 1) % len(CLASSES)
    return network, [Picture(str(i), p, CLASSES[a]) for i, (p, a) in enumerate(zip(pixels, answers, strict=True))]


@pytest.fixture(scope="module")
def files(known, tmp_path_factory):
    """A calibrated model, as a model file and exported."""
    folder = tmp_path_factory.mktemp("limits")
    network, pictures = known
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16))
    mean = mean_features(TorchEngine(network, header), pictures, load)
    header = dataclasses.replace(header, feature_mean=mean)
    found = evaluate_engine(TorchEngine(network, header), pictures, "val").calibrate()
    header = dataclasses.replace(header, calibration=found.calibration)
    write_model(folder / "m.safetensors", {k: v.numpy() for k, v in network.state_dict().items()}, header)
    write_onnx(folder / "m.onnx", network, header, np.zeros((0, 5), np.uint8))
    return folder / "m.safetensors", folder / "m.onnx"


def test_every_engine_gives_the_same_features_and_scores(files):
    torch, onnx, openvino = (open_engine(files[0]), open_engine(files[1]), open_engine(files[1], engine="openvino"))
    pixels = np.stack([noise(i) for i in range(5)])
    expected = torch.embed(pixels)
    assert np.allclose(expected.features, torch.features(pixels).mean((2, 3)), atol=1e-5)
    weight, bias = torch.head
    assert np.allclose(expected.features @ weight.T + bias, expected.logits, atol=1e-4)
    by_hand = boundary_distance(
        expected.logits, expected.features, class_gaps(weight), np.array(torch.header.feature_mean)
    )
    for engine in (torch, onnx, openvino):
        found = [engine.embed(pixels)] + ([engine.one_core_embed(pixels)] if engine is not torch else [])
        for outputs in found:
            assert np.allclose(outputs.logits, engine.logits(pixels), atol=1e-5)
            assert np.allclose(outputs.features, expected.features, atol=1e-4)
            assert np.allclose(OutlierScorer(engine).scores(outputs), by_hand, rtol=1e-3)


def test_the_model_keeps_95_percent_and_says_why_it_rejects_the_others(files, known):
    rejection = read_model(files[0]).header.calibration.rejection
    for path in files:
        rows = load_model(path).predict([picture.source for picture in known[1]])
        accepted = [row.accepted for row in rows]
        assert 0.95 <= np.mean(accepted) < 0.97
        for row in rows:
            assert row.may_be_wrong == (row.probability < rejection.min_confidence)
            assert row.not_from_here == (row.outlier_score > rejection.max_outlier)
            assert row.accepted == (not row.may_be_wrong and not row.not_from_here)
        assert any(row.may_be_wrong for row in rows) and any(row.not_from_here for row in rows)


def test_prediction_sets_hold_the_true_label_as_often_as_promised(files, known):
    for coverage in (0.9, 0.95, 0.99):
        rows = load_model(files[1], sets=SetOptions(coverage)).predict([p.source for p in known[1]])
        hits = [p.label in row.prediction_set for row, p in zip(rows, known[1], strict=True)]
        assert coverage <= np.mean(hits) <= coverage + 0.02  # these very pictures fitted the quantile
        for row in rows:
            likelihoods = dict(row.top)
            listed = [likelihoods[label] for label in row.prediction_set]
            assert listed == sorted(listed, reverse=True)
    plain = load_model(files[1]).predict(known[1][0].source)[0]
    assert plain.prediction_set == load_model(files[1], sets=SetOptions()).predict(known[1][0].source)[0].prediction_set


def test_a_model_without_thresholds_says_so_by_none(known):
    network, pictures = known
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16))
    (row,) = Model(TorchEngine(network, header)).predict(pictures[0].source)
    assert (row.accepted, row.may_be_wrong, row.not_from_here, row.outlier_score, row.prediction_set) == (None,) * 5
    with pytest.raises(ResLabError, match="holds no quantiles for prediction sets"):
        Model(TorchEngine(network, header), SetOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SetOptions(0.93), "0.9, 0.95, 0.99, not 0.93"),
        (SetOptions(1.5), "between 0 and 1"),
        (SetOptions(0.9, "aps"), "aps"),
    ],
)
def test_sets_that_are_not_stored_are_refused_at_once(files, options, message):
    with pytest.raises(ResLabError, match=message):
        load_model(files[0], sets=options)


def test_several_labels_have_no_sets(known):
    network, pictures = known
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16), task="multi", thresholds=(0.5,) * 4)
    with pytest.raises(ResLabError, match="a prediction set needs data that give each picture one label"):
        Model(TorchEngine(network, header), SetOptions())
    (row,) = Model(TorchEngine(network, header)).predict(pictures[0].source)
    assert row.accepted is None and row.prediction_set is None


def test_the_mean_is_that_of_the_features_of_training_pictures(known):
    network, pictures = known
    engine = TorchEngine(network, Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16)))
    features = engine.embed(np.stack([picture.source for picture in pictures])).features
    assert np.allclose(mean_features(engine, pictures, load), features.mean(0), rtol=1e-4)
    many = [pictures[i % 2] for i in range(5 * MEAN_OF)]
    assert np.allclose(mean_features(engine, many, load), features[:2].mean(0), rtol=1e-2)


def test_files_of_earlier_versions_are_read(files):
    """They hold two fields that were always empty, and no mean."""
    content = json.loads(json.dumps(header_document(read_model(files[0]).header)))
    del content["feature_mean"]
    content["calibration"] = {
        "temperature": 1.5,
        "n": 9,
        "split": "val",
        "reject_threshold": None,
        "conformal_quantile": None,
    }
    header = parse_header(content, files[0])
    assert header.calibration == Calibration(1.5, 9, "val") and header.feature_mean == ()


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("rejection", {"outlier": [1.0]}, "validation answers are of different lengths"),
        ("conformal", {"lac": [0.1]}, "prediction sets are not those of its classes"),
        ("conformal", {"counts": [1, 2]}, "prediction sets are not those of its classes"),
        ("conformal", {"by_class": [[0.1]] * 3}, "prediction sets are not those of its classes"),
    ],
)
def test_a_damaged_header_is_refused(files, place, change, message):
    content = json.loads(json.dumps(header_document(read_model(files[0]).header)))
    content["calibration"][place] |= change
    with pytest.raises(ResLabError, match=message):
        parse_header(content, files[0])


def test_a_mean_of_another_network_is_refused(known):
    network, pictures = known
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16), feature_mean=(1.0, 2.0))
    with pytest.raises(ResLabError, match="holds the mean of 2 features, and its network gives 64"):
        Model(TorchEngine(network, header)).predict(pictures[0].source)
