"""Other ways to compute a convolution in training, on a processor: the same function, faster there than PyTorch's.

`pytorch` is PyTorch's own (oneDNN). `matmul` computes the gradient of the weights on small maps as one product of matrices per
tap of the kernel; oneDNN is slow there. `winograd` does besides, in float32 with stride 1, the forward pass and both gradients by
F(2x2, 3x3), see `nn.winograd`. Parameters and their names stay, and so does every network but the one in training. Results
differ by rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from reslab.nn import winograd
from reslab.shapes import FILTERS, IMAGES, OUTPUT

SHARE = 8
"""A map is small if it has so many times fewer pixels than the layer has output channels, or more: 8x8 for 512, 4x4 for 128.

Read off `benchmarks/convolution.py --layers`: beyond, PyTorch's gradient is as fast or faster.
"""


class MatmulConv(nn.Conv2d):
    """A 3x3 convolution with padding 1 and without bias, whose gradient of the weights on small maps is nine products."""

    def forward(self, input: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        learns = torch.is_grad_enabled() and self.weight.requires_grad and input.device.type == "cpu"
        if not learns or not is_small(input.shape[2], input.shape[3], self.stride[0], self.out_channels):
            return super().forward(input)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):  # it does not look inside
            kind = torch.get_autocast_dtype("cpu")
            input, weight = input.to(kind), weight.to(kind)
        return _ByProducts.apply(input, weight, self.stride[0])


class WinogradConv(MatmulConv):
    """The same; in float32 with stride 1 it is Winograd's convolution, where its channels allow that."""

    def forward(self, input: Float[Tensor, IMAGES]) -> Float[Tensor, OUTPUT]:
        channels = self.in_channels % winograd.GROUP == 0 == self.out_channels % winograd.GROUP
        single = input.dtype == self.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        learns = torch.is_grad_enabled() and input.device.type == "cpu"
        if channels and single and learns and self.stride == (1, 1) and min(input.shape[2:]) > 1:
            return winograd.convolve(input, self.weight)
        return super().forward(input)


def is_small(height: int, width: int, stride: int, outputs: int) -> bool:
    """Whether a 3x3 layer's output map is small, from the sides of its input."""
    return SHARE * -(-height // stride) * -(-width // stride) <= outputs


def use_convolution(network: nn.Module, name: str) -> None:
    """Compute the 3x3 convolutions of a network in training by `matmul` or `winograd`; another name, and another device than a
    processor, leave them to PyTorch.

    Raises:
        ResLabError: this machine cannot compute it so.
    """
    kind = {"matmul": MatmulConv, "winograd": WinogradConv}.get(name)
    if kind is None or next(network.parameters()).device.type != "cpu":
        return
    if kind is WinogradConv:
        winograd.load()
    for module in network.modules():
        if type(module) is nn.Conv2d and module.kernel_size == (3, 3) and module.groups == 1 and module.bias is None:
            module.__class__ = kind


class _ByProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, stride=stride, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, None]:  # pyrefly: ignore
        (x, weight), stride, dx = ctx.saved_tensors, ctx.stride, None
        if ctx.needs_input_grad[0]:
            fixed = None, [stride, stride], [1, 1], [1, 1], False, [0, 0], 1
            dx = torch.ops.aten.convolution_backward(dy, x, weight, *fixed, [True, False, False])[0]
        return dx, weight_gradient(x, dy, stride), None


def weight_gradient(x: Float[Tensor, IMAGES], dy: Float[Tensor, OUTPUT], stride: int = 1) -> Float[Tensor, FILTERS]:
    """The gradient of 3x3 weights, `dw(k, c, i, j) = sum_nyx dy(n, k, y, x) x(n, c, y stride + i - 1, x stride + j - 1)`.

    Each of the nine taps (i, j) is a product of two matrices: pixels of the output times pixels of the input that it meets.

    Args:
        x: input of the convolution.
        dy: gradient of its output.
    """
    x, dy = x.permute(0, 2, 3, 1).contiguous(), dy.permute(0, 2, 3, 1).contiguous()
    inputs, outputs = x.shape[3], dy.shape[3]
    dw = x.new_empty(outputs, 3, 3, inputs)
    rows, columns = ([_meet(x.shape[axis], dy.shape[axis], tap, stride) for tap in range(3)] for axis in (1, 2))
    for i, (above, below) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            if above == slice(0, 0) or left == slice(0, 0):
                dw[:, i, j] = 0
                continue
            seen, found = x[:, above, left].reshape(-1, inputs), dy[:, below, right].reshape(-1, outputs)
            torch.mm(found.t(), seen, out=dw[:, i, j])
    return dw.permute(0, 3, 1, 2)


def _meet(inputs: int, outputs: int, tap: int, stride: int) -> tuple[slice, slice]:
    """Along one axis, the pixels of the input that a tap sees, and those of the output that it sees them for."""
    first = 1 if tap == 0 else 0  # of output 0, tap 0 sees the padding
    last = min(outputs, (inputs - tap) // stride + 1)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    begin = first * stride + tap - 1
    return slice(begin, begin + (last - first - 1) * stride + 1, stride), slice(first, last)
