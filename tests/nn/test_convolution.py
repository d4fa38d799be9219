"""Convolutions that are computed otherwise than by PyTorch: the same function, the same parameters, in training alone."""

import ctypes
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reslab.errors import ResLabError
from reslab.nn import winograd
from reslab.nn.convolution import MatmulConv, WinogradConv, is_small, use_convolution, weight_gradient
from reslab.nn.layers import conv
from reslab.nn.zoo import build_named
from reslab.system import compiler

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def normal(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


def made(name, inputs, outputs, stride=1, dtype=torch.float32):
    """A 3x3 layer, computed in that way."""
    layer = nn.Sequential(conv(inputs, outputs, 3, stride)).to(dtype)
    use_convolution(layer, name)
    return layer[0]


def gradients(function, x, weight, dy):
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = function(x, weight)
    return (y.detach(), *torch.autograd.grad(y, (x, weight), dy))


def distance(found, right):
    return float((found.double() - right).norm() / right.norm())


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sides", [(1, 1), (1, 2), (2, 2), (3, 2), (4, 5), (7, 8)])
def test_the_gradient_by_products_is_that_of_pytorch(sides, stride):
    x, weight = normal(3, 5, *sides), normal(4, 5, 3, 3)
    y = F.conv2d(x, weight.requires_grad_(), stride=stride, padding=1)
    dy = normal(*y.shape)
    for layout in LAYOUTS:
        found = weight_gradient(x.contiguous(memory_format=layout), dy.contiguous(memory_format=layout), stride)
        torch.testing.assert_close(
            found, torch.autograd.grad(y, weight, dy, retain_graph=True)[0], rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize(("sides", "stride"), [((1, 2), 1), ((2, 2), 1), ((3, 4), 2)])
def test_gradients_agree_with_finite_differences(sides, stride):
    layer = made("matmul", 2, 32, stride, torch.float64)
    assert isinstance(layer, MatmulConv) and is_small(*sides, stride, 32)
    x = normal(2, 2, *sides).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(layer, {"weight": w}, x.detach()), layer.weight
    )


def test_small_is_an_eighth_as_many_pixels_as_channels():
    assert is_small(8, 8, 1, 512) and is_small(16, 15, 2, 512) and is_small(4, 4, 1, 128) and is_small(1, 1, 1, 16)
    assert not is_small(9, 8, 1, 512) and not is_small(17, 16, 2, 512) and not is_small(8, 8, 1, 256)


@pytest.mark.parametrize("name", ["matmul", "winograd"])
def test_bfloat16_has_the_gradients_of_autocast(name):
    if name == "winograd" and not winograd.available():
        pytest.skip("Winograd convolutions cannot be compiled here")
    x, dy = normal(8, 16, 2, 2, dtype=torch.float32), normal(8, 64, 2, 2, dtype=torch.float32)
    answers = []
    for each in ("pytorch", name):
        layer = made(each, 16, 64)
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        (grad,) = torch.autograd.grad(y.float(), layer.weight, dy)
        answers.append((y, grad, torch.autograd.grad(F.conv2d(x, layer.weight, padding=1), layer.weight, dy)[0]))
        assert y.dtype == torch.bfloat16 and grad.dtype == torch.float32
    ours = distance(answers[1][1], answers[1][2].double())
    assert ours < 1e-2 and ours < 2 * distance(answers[0][1], answers[0][2].double())


@pytest.mark.parametrize("name", ["matmul", "winograd"])
def test_a_network_keeps_its_parameters_and_its_answers(name):
    if name == "winograd" and not winograd.available():
        pytest.skip("Winograd convolutions cannot be compiled here")
    plain = build_named("resnet18", num_classes=3).eval()
    network = deepcopy(plain)
    use_convolution(network, name)
    kinds = {type(module) for module in network.modules() if isinstance(module, nn.Conv2d)}
    assert kinds == {nn.Conv2d, {"matmul": MatmulConv, "winograd": WinogradConv}[name]}
    assert list(network.state_dict()) == list(plain.state_dict())
    images = normal(2, 3, 64, 64, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(network(images), plain(images)), "only training is computed otherwise"
    for each in (network, plain):
        each.stages[3].requires_grad_(False)
    torch.testing.assert_close(network(images), plain(images), rtol=1e-4, atol=1e-5)
    learning = [p for p in network.parameters() if p.requires_grad]
    assert all(grad is not None for grad in torch.autograd.grad(network(images).sum(), learning))


def test_pytorchs_own_and_large_maps_change_no_bit():
    network = nn.Sequential(conv(8, 16, 3))
    use_convolution(network, "pytorch")
    assert type(network[0]) is nn.Conv2d
    x, dy = normal(2, 8, 6, 6, dtype=torch.float32), normal(2, 16, 6, 6, dtype=torch.float32)
    right = torch.autograd.grad(network(x), network[0].weight, dy)[0]
    use_convolution(network, "matmul")
    assert torch.equal(torch.autograd.grad(network(x), network[0].weight, dy)[0], right)


SHAPES = [
    (2, 32, 16, 4, 6),
    (5, 16, 16, 8, 8),
    (2, 16, 48, 5, 3),
    (3, 64, 32, 7, 7),
    (40, 512, 32, 2, 2),
    (2, 16, 16, 1, 1),
]


@pytest.mark.skipif(not winograd.available(), reason="Winograd convolutions cannot be compiled here")
class TestWinograd:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_it_is_a_convolution_in_every_direction(self, shape):
        batch, inputs, outputs, *sides = shape
        x, weight, dy = normal(batch, inputs, *sides), normal(outputs, inputs, 3, 3), normal(batch, outputs, *sides)
        right = gradients(lambda a, b: F.conv2d(a, b, padding=1), x, weight, dy)
        for layout in LAYOUTS:
            single = [t.float().contiguous(memory_format=layout) for t in (x, weight, dy)]
            for found, exact in zip(gradients(winograd.convolve, *single), right, strict=True):
                assert distance(found, exact) < 2e-6

    def test_bytes_do_not_depend_on_the_number_of_threads(self):
        x, weight, dy = (normal(*s, dtype=torch.float32) for s in ((9, 32, 7, 8), (48, 32, 3, 3), (9, 48, 7, 8)))
        before, found = torch.get_num_threads(), []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                found.append(gradients(winograd.convolve, x, weight, dy))
        finally:
            torch.set_num_threads(before)
        assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(other, found[0], strict=True))

    def test_where_it_does_not_apply_pytorch_computes(self):
        for inputs, outputs, stride, side in ((3, 16, 1, 4), (16, 24, 1, 4), (16, 16, 2, 4), (16, 16, 1, 1)):
            layer = made("winograd", inputs, outputs, stride)
            x = normal(2, inputs, side, side, dtype=torch.float32)
            assert torch.equal(layer(x), F.conv2d(x, layer.weight, stride=stride, padding=1))

    def test_a_file_that_is_not_what_was_compiled_is_not_loaded(self, monkeypatch):
        (place,) = compiler.cache_folder("compiled").glob("winograd-*.so")
        data = place.read_bytes()
        monkeypatch.setattr(compiler, "compiler", lambda: None)
        compiler.library(winograd.SOURCE)
        try:
            place.write_bytes(data[: len(data) // 2])
            with pytest.raises(ResLabError, match=r"g\+\+"):
                compiler.library(winograd.SOURCE)
        finally:
            place.write_bytes(data)


def test_wrong_results_are_refused():
    class Nothing(ctypes.CDLL):
        def __init__(self):
            pass

        workspace = staticmethod(lambda *sizes: 1)
        convolve = filter_gradient = staticmethod(lambda *arguments: None)

    with pytest.raises(ResLabError, match="its results are wrong on this machine"):
        winograd._check(Nothing())


def test_without_a_compiler_or_avx2_it_is_not_offered(monkeypatch, tmp_path):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(winograd, "load", winograd.load.__wrapped__)
    monkeypatch.setattr(compiler, "compiler", lambda: None)
    assert not winograd.available() and not list(tmp_path.iterdir())
    with pytest.raises(ResLabError) as refused:
        use_convolution(nn.Sequential(conv(16, 16, 3)), "winograd")
    assert "--convolution matmul" in refused.value.hint
    monkeypatch.setattr(winograd, "has_avx2", lambda: False)
    with pytest.raises(ResLabError, match="AVX2"):
        winograd.load()


def test_a_compiler_that_fails_is_named(monkeypatch, tmp_path):
    source = tmp_path / "wrong.cpp"
    source.write_text("this is no program\n")
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    if compiler.compiler():
        with pytest.raises(ResLabError, match=r"did not compile wrong\.cpp: .*error"):
            compiler.library(source)
    script = tmp_path / "g++"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    monkeypatch.setattr(compiler, "compiler", lambda: str(script))
    with pytest.raises(ResLabError, match="did not compile"):
        compiler.library(source)
    assert not (tmp_path / "cache").exists()
