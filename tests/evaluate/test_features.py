"""Tables of features: the same from every engine, written and read without loss, and refused where they do not belong."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
import torch

from reslab.engine.onnx import open_exported
from reslab.engine.torch import open_torch
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.feature_file import check_feature_file, read_features, write_features
from reslab.evaluate.features import embed_pictures, find_near, find_picture, make_table, require_same_model
from reslab.export.graph import write_onnx
from reslab.model.file import Header, write_model
from reslab.nn.zoo import build_named
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Preprocess
from reslab.run.features import read_pictures
from tests.pictures import colour_folder

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """One network in PyTorch and as a graph."""
    folder, network = tmp_path_factory.mktemp("models"), build_named("resnet20", seed=3, num_classes=3)
    torch.manual_seed(0)
    with torch.no_grad():
        network.train()(torch.rand(16, 3, 16, 16) * torch.rand(16, 3, 1, 1))
    header = Header(dataclasses.asdict(network.config), CLASSES, Preprocess(16))
    write_model(folder / "m.safetensors", {k: v.numpy() for k, v in network.state_dict().items()}, header)
    write_onnx(folder / "m.onnx", network.eval(), header, np.zeros((0, 5), np.uint8))
    return open_torch(folder / "m.safetensors"), open_exported(folder / "m.onnx")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return read_pictures(str(colour_folder(tmp_path_factory.mktemp("data"), each=8)))


def table_of(engine, pictures):
    chosen = pictures.pictures()
    return make_table(engine, chosen, pictures.data, None, embed_pictures(engine, chosen))


@pytest.fixture(scope="module")
def table(engines, pictures):
    return table_of(engines[0], pictures)


def test_features_are_what_the_linear_layer_is_given(engines, pictures, table):
    weight, bias = engines[0].head
    prepared = np.stack([engines[0].header.preprocess(np.asarray(p)) for p in decoded(pictures)])
    assert np.allclose(table.features @ weight.T + bias, engines[0].logits(prepared), atol=1e-4)
    assert [row.tobytes() for row in table.fingerprints] == [fingerprint(pixels) for pixels in decoded(pictures)]
    assert table.labels == tuple(p.label for p in pictures.pictures()) and len(set(table.keys)) == 24


def decoded(pictures):
    from reslab.data.reader import load

    return [load(picture) for picture in pictures.pictures()]


def test_engines_agree_on_features_and_on_neighbours(engines, pictures, table):
    theirs = table_of(engines[1], pictures)
    assert np.abs(theirs.features - table.features).max() <= 1e-4 * np.abs(table.features).max()
    found = [
        find_near(one, pictures.pictures(), embed_pictures(engine, pictures.pictures()), 4)
        for one, engine in ((table, engines[0]), (theirs, engines[1]))
    ]
    for ours, other in zip(*found, strict=True):
        assert [n.path for n in ours.neighbours] == [n.path for n in other.neighbours]
        assert ours.neighbours[0].same and ours.neighbours[0].path == ours.path.replace("\\", "/")
        assert not any(n.same for n in ours.neighbours[1:])


def test_a_bad_picture_is_left_out_or_stops_the_pass(engines, pictures, table):
    broken = dataclasses.replace(pictures.pictures()[3], source=BadPicture("x.png", "no such file"))
    mixed = (*pictures.pictures()[:3], broken, *pictures.pictures()[4:])
    found = embed_pictures(engines[0], mixed)
    made = make_table(engines[0], mixed, "data", None, found)
    assert (list(found.errors), [bad.name for bad in made.unreadable]) == ([3], ["x.png"])
    kept = [i for i in range(24) if i != 3]
    assert made.keys == table.rows(np.array(kept)).keys and np.array_equal(made.features, table.features[kept])
    assert find_near(table, mixed, found, 2)[3].error == "no such file"
    with pytest.raises(ResLabError, match=r"cannot read x\.png"):
        embed_pictures(engines[0], mixed, skip_bad=False)
    with pytest.raises(ResLabError, match="none of the 1 pictures of data can be read"):
        make_table(engines[0], [broken], "data", None, embed_pictures(engines[0], [broken]))


def test_a_file_is_read_as_it_was_written(table, tmp_path):
    odd = dataclasses.replace(table, keys=("猫/ñ 1.png", "\udce9.png", *table.keys[2:]))
    for name in ("a.npz", "b.npz"):
        write_features(tmp_path / name, odd)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_features(tmp_path / "a.npz")
    assert (found.source, found.keys, found.labels, found.splits) == (odd.source, odd.keys, odd.labels, odd.splits)
    assert np.array_equal(found.features, odd.features) and np.array_equal(found.fingerprints, odd.fingerprints)
    with np.load(tmp_path / "a.npz") as plain:  # as a person reads it
        assert plain["features"].shape == (24, 64) and plain["keys"][0] == "猫/ñ 1.png"
        assert json.loads(str(plain["source"]))["model"] == table.source.model


def test_a_parquet_file_is_a_table_of_pictures(table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_features(tmp_path / "a.parquet", table)
    found = parquet.read_table(tmp_path / "a.parquet")
    rows = found.to_pylist()
    assert [row["key"] for row in rows] == list(table.keys) and rows[5]["label"] == table.labels[5]
    assert np.array_equal(np.array([row["features"] for row in rows], np.float32), table.features)
    assert rows[0]["fingerprint"] == table.fingerprints[0].tobytes().hex()
    assert json.loads(found.schema.metadata[b"reslab"])["classes"] == list(CLASSES)
    same(read_features(tmp_path / "a.parquet"), table)


def same(one, other):
    assert (one.source, one.keys, one.labels, one.splits) == (other.source, other.keys, other.labels, other.splits)
    assert np.array_equal(one.features, other.features) and np.array_equal(one.fingerprints, other.fingerprints)


def test_a_folder_of_parquet_files_is_one_table(table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for name, chosen in (("a", np.arange(10)), ("b", np.arange(0)), ("c", np.arange(10, 24))):
        write_features(tmp_path / "out" / f"{name}.parquet", table.rows(chosen))
    (tmp_path / "out" / "_reslab.json").write_text("{}")
    same(read_features(tmp_path / "out"), table)
    other = dataclasses.replace(table, source=dataclasses.replace(table.source, model="f" * 64))
    write_features(tmp_path / "out" / "d.parquet", other)
    with pytest.raises(ResLabError, match="holds the features of several models or data sets"):
        read_features(tmp_path / "out")
    whole = (tmp_path / "out" / "a.parquet").read_bytes()
    strange = parquet.read_table(tmp_path / "out" / "a.parquet")
    for damaged in (
        whole[:-9],
        b"",
        b"PAR1" * 9,
        strange.drop_columns(["features"]),
        strange.replace_schema_metadata({}),
    ):
        place = tmp_path / "damaged.parquet"
        place.write_bytes(damaged) if isinstance(damaged, bytes) else parquet.write_table(damaged, place)
        with pytest.raises(ResLabError, match=r"damaged\.parquet is damaged, or holds no features"):
            read_features(place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResLabError, match="holds no features"):
        read_features(tmp_path / "empty")


def test_names_that_cannot_be_written_are_refused_before_anything_is_computed(tmp_path, monkeypatch):
    with pytest.raises(ResLabError, match=r"written as \.npz or \.parquet"):
        check_feature_file(tmp_path / "features.csv")
    monkeypatch.setattr("reslab.evaluate.feature_file.find_spec", lambda name: None)
    with pytest.raises(ResLabError, match="needs pyarrow"):
        check_feature_file(tmp_path / "features.parquet")


def changed(path, **arrays):
    """The content of a file with other arrays; what is None is left out."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files} | arrays
    made = io.BytesIO()
    np.savez(made, **{name: array for name, array in content.items() if array is not None})
    return made.getvalue()


def compressed(path):
    made = io.BytesIO()
    with np.load(path) as file:
        np.savez_compressed(made, **{name: file[name] for name in file.files})
    return made.getvalue()


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    return bytes(data)


def zeros_claimed(path):
    """A header that promises far more numbers than the file has."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            new.writestr(member, data.replace(b"(24, 64)", b"(9999999,64)"[:8]) if member == "features.npy" else data)
    return made.getvalue()


FAULTS = {
    "cut": (lambda path: path.read_bytes()[:-300], "is damaged, or holds no features"),
    "a flipped bit": (flipped, "is damaged, or holds no features"),
    "no zip": (lambda path: b"features", "is damaged, or holds no features"),
    "one array": (lambda path: changed(path, keys=None), "is damaged, or holds no features"),
    "promises": (zeros_claimed, "is damaged"),
    "compressed": (compressed, "compressed by another program"),
    "pickled": (lambda path: changed(path, labels=np.array([{}] * 24)), "is damaged, or holds no features"),
    "fewer labels": (lambda path: changed(path, labels=np.array(["a"])), "do not fit together"),
    "doubles": (lambda path: changed(path, features=np.zeros((24, 64))), "do not fit together"),
    "empty": (lambda path: changed(path, features=np.zeros((0, 64), np.float32)), "do not fit together"),
    "not finite": (lambda path: changed(path, features=np.full((24, 64), np.nan, np.float32)), "not finite"),
    "no JSON": (lambda path: changed(path, source=np.array("{")), "is not JSON"),
    "a later schema": (lambda path: changed(path, source=np.array('{"schema": 2}')), "is of schema 2"),
    "no model": (lambda path: changed(path, source=np.array('{"schema": 1}')), "model is missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_one_sentence(fault, table, tmp_path):
    write_features(tmp_path / "a.npz", table)
    spoil, sentence = FAULTS[fault]
    (tmp_path / "a.npz").write_bytes(spoil(tmp_path / "a.npz"))
    with pytest.raises(ResLabError, match=sentence):
        read_features(tmp_path / "a.npz")


def test_what_is_no_file_is_one_sentence(tmp_path):
    with pytest.raises(ResLabError, match="there is no"):
        read_features(tmp_path / "a.npz")
    with pytest.raises(ResLabError, match="holds no features"):
        read_features(tmp_path)


def test_another_models_features_are_refused_by_hash(engines, table):
    require_same_model(table, engines[0], "a.npz")
    with pytest.raises(
        ResLabError, match=rf"a\.npz holds the features of another model \(sha256 {table.source.model[:12]}"
    ):
        require_same_model(table, engines[1], "a.npz")
    other = dataclasses.replace(table, source=dataclasses.replace(table.source, preprocess=Preprocess(32)))
    with pytest.raises(ResLabError, match="another preprocessing"):
        require_same_model(other, engines[0], "a.npz")
    with pytest.raises(ResLabError, match="its features are 3 numbers"):
        find_near(dataclasses.replace(table, features=table.features[:, :3]), [], embed_pictures_of_one(engines[0]), 1)


def embed_pictures_of_one(engine):
    from reslab.data.catalog import Picture

    return embed_pictures(engine, [Picture("a", np.zeros((8, 8, 3), np.uint8), "")])


def test_a_graph_without_features_is_one_sentence(engines):
    class Adopted:
        explains = False

    with pytest.raises(ResLabError, match="this model gives no features"):
        embed_pictures(Adopted(), [])


def test_a_neighbour_is_shown_only_while_it_is_the_same_picture(engines, pictures, table):
    near = find_near(table, pictures.pictures()[:1], embed_pictures(engines[0], pictures.pictures()[:1]), 1)[
        0
    ].neighbours[0]
    there = pictures.by_key()
    assert np.array_equal(find_picture(near, there).source, decoded(pictures)[0])
    assert find_picture(near, {}) is None
    assert find_picture(near, {near.path: pictures.pictures()[1]}) is None
    assert (
        find_picture(near, {near.path: dataclasses.replace(there[near.path], source=BadPicture("a", "gone"))}) is None
    )


def test_training_pictures_are_those_of_the_split_or_all(table):
    assert table.training() is table
    split = dataclasses.replace(table, splits=("train", "val") * 12)
    assert split.training().keys == table.keys[::2] and np.array_equal(split.training().features, table.features[::2])
