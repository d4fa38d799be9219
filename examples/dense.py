"""What the examples of detection and segmentation share: a pyramid of maps, random views, training by the clock, ONNX.

Of the package they use public names alone: `reslab.build`, `ResNet.stage_maps`, `reslab.ResLabError`.
"""

import argparse
import json
import math
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import reslab

LOOKS = 12
"""Validations during a run."""
SAVE_EVERY = 30.0
"""Seconds between two saved states: what a killed run loses at most."""

LARGEST = 2**26
"""Bytes of one file in the archive."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    data: Path
    out: Path
    minutes: float
    batch: int
    rate: float
    seed: int
    precision: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.minutes) and self.minutes > 0 and math.isfinite(self.rate) and self.rate > 0):
            raise reslab.ResLabError("--minutes and --rate must be positive numbers")
        if not 2 <= self.batch <= 1024 or self.seed < 0:
            raise reslab.ResLabError("--batch must be 2 to 1024, and --seed 0 or more")
        if (self.out / "result.json").exists():
            raise reslab.ResLabError(f"{self.out} holds a finished run", "choose another --out")


def run(task: Callable[[Options], None], description: str, words: list[str] | None = None) -> int:
    """Parse the command line and do the task; a mistake of the user is one sentence and exit code 2."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the zip file")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a run that was cut off goes on")
    parser.add_argument("--minutes", type=float, default=60.0, help="time of the training (default: 60)")
    parser.add_argument("--batch", type=int, default=8, help="pictures per step (default: 8)")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate of AdamW (default: 0.002)")
    parser.add_argument("--seed", type=int, default=0)
    best = "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default=best, help=f"of the steps (here: {best})"
    )
    try:
        task(Options(**vars(parser.parse_args(words))))
    except KeyboardInterrupt:
        print("cut off; the same command goes on where the last state was saved", file=sys.stderr)
        return 130
    except reslab.ResLabError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    return 0


# ------------------------------------------------------------------ files


class Archive:
    """A zip file, read member by member."""

    def __init__(self, path: Path) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or "it is no zip file"
            raise reslab.ResLabError(f"cannot open {path}: {reason}") from None
        self.path, self.names = path, set(self.zip.namelist())

    def folder(self, marker: str) -> str:
        """What stands before `marker` in the one member that ends with it: `BCCD/`, or nothing."""
        found = sorted(name for name in self.names if f"/{name}".endswith(f"/{marker}"))
        if not found:
            raise reslab.ResLabError(f"{self.path} has no {marker}", "the README says what the file must hold")
        return found[0].removesuffix(marker)

    def read(self, name: str) -> bytes:
        if name not in self.names:
            raise reslab.ResLabError(f"{self.path} has no {name}")
        if self.zip.getinfo(name).file_size > LARGEST:
            raise reslab.ResLabError(f"{name} in {self.path} is larger than {LARGEST >> 20} MiB")
        try:
            return self.zip.read(name)
        except (OSError, zipfile.BadZipFile, zipfile.zlib.error, NotImplementedError, RuntimeError):
            raise reslab.ResLabError(f"{name} in {self.path} is damaged") from None

    def picture(self, name: str, mode: str = "RGB", size: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 pixels, resized to (height, width) if that is given; mode "P" leaves the numbers of a mask alone."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = Image.open(BytesIO(self.read(name)))
                picture = picture if mode == "P" and picture.mode in ("P", "L") else picture.convert(mode)
                return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR) if size else picture)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise reslab.ResLabError(f"{name} in {self.path} cannot be read as a picture") from None


# ------------------------------------------------------------------ network


def conv(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    layer = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out_channels), nn.ReLU())


class Pyramid(nn.Module):
    """One map that is as fine as the first stage's and knows what the last stage knows (Lin et al. 2017, figure 3).

    From the last map up: enlarge by two, add the next finer map, each projected to `channels`, and convolve.
    """

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        widths = backbone.config.widths
        self.lateral = nn.ModuleList(conv(width, channels, kernel=1) for width in widths)
        self.smooth = nn.ModuleList(conv(channels, channels) for _ in widths[1:])

    def forward(self, images: Tensor) -> Tensor:
        *finer, last = [lateral(x) for lateral, x in zip(self.lateral, self.backbone.stage_maps(images), strict=True)]
        for smooth, x in zip(reversed(self.smooth), reversed(finer), strict=True):
            last = smooth(x + F.interpolate(last, size=x.shape[2:], mode="bilinear"))
        return last


class FromPixels(nn.Module):
    """The network as it is shipped: uint8 `[n, height, width, 3]` in, answers out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return self.network.answer(to_images(pixels))


def to_images(pixels: Tensor) -> Tensor:
    """uint8 pixels, channels last, as float images in [0, 1], channels first."""
    return pixels.permute(0, 3, 1, 2).float() / 255


# ------------------------------------------------------------------ random views


def draw_views(count: int, dice: torch.Generator, upside_down: bool) -> Tensor:
    """One affine map per picture, from the view's coordinates to the picture's, both in [-1, 1]: float `[n, 2, 3]`.

    Mirrored with probability 1/2 (with `upside_down` also that way), zoomed by 0.7 to 1.4 and stretched by up to 1.1, and
    shifted at random.
    """
    mirror = torch.randint(0, 2, (count, 2), generator=dice) * 2.0 - 1
    if not upside_down:
        mirror[:, 1] = 1
    draws = torch.rand(count, 4, generator=dice) * 2 - 1
    zoom = torch.stack([2 ** (draws[:, 0] / 2 + draws[:, 1] / 7), 2 ** (draws[:, 0] / 2 - draws[:, 1] / 7)], dim=1)
    views = torch.zeros(count, 2, 3)
    views[:, 0, 0], views[:, 1, 1] = (mirror / zoom).unbind(1)
    views[:, :, 2] = draws[:, 2:] * (1 - 1 / zoom).abs()
    return views


def view_pixels(maps: Tensor, views: Tensor, fill: float, mode: str = "bilinear") -> Tensor:
    """Float maps `[n, c, h, w]` seen through the views; what lies outside of the picture is `fill`."""
    grid = F.affine_grid(views, list(maps.shape), align_corners=False)
    return F.grid_sample(maps - fill, grid, mode=mode, align_corners=False) + fill


def jitter_colours(images: Tensor, dice: torch.Generator) -> Tensor:
    """Other brightness, contrast (both by up to 0.2) and tint (0.1) for every picture."""
    draws = torch.rand(len(images), 5, 1, 1, generator=dice) * 2 - 1
    images = (images - 0.5) * (1 + 0.2 * draws[:, :1]) + 0.5 + 0.2 * draws[:, 1:2]
    return (images * (1 + 0.1 * draws[:, 2:])).clamp(0, 1)


# ------------------------------------------------------------------ training


def learning_rate(peak: float, share: float) -> float:
    """Warm-up over the first twentieth of the time, then half a cosine to zero."""
    return peak * (share / 0.05 if share < 0.05 else (1 + math.cos(math.pi * (share - 0.05) / 0.95)) / 2)


def train(
    network: nn.Module,
    pictures: int,
    loss_of: Callable[[np.ndarray, torch.Generator], Tensor],
    validate: Callable[[], dict[str, float]],
    options: Options,
) -> list[dict[str, float]]:
    """Train until the minutes are over, whatever the machine's speed; a run that was cut off goes on.

    Which pictures a step sees, and how, are pure functions of (seed, step).

    Args:
        loss_of: of the pictures with these numbers, with these dice.
        validate: the scores on the validation split.

    Returns:
        The looks at the validation split.
    """
    begin, seconds, file = time.monotonic(), 60 * options.minutes, options.out / "state.pt"
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.05)
    step, spent, looks = _resume(file, network, optimizer, options)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise reslab.ResLabError(
            f"cannot make the folder {options.out}: {error.strerror}", "choose another --out"
        ) from None
    per_epoch, saved, losses = max(1, pictures // options.batch), 0.0, []
    while (now := spent + time.monotonic() - begin) < seconds or not step:
        share = min(1.0, now / seconds)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.rate, share)
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((options.seed, epoch)).permutation(pictures)
        dice = torch.Generator().manual_seed((options.seed << 32) + step)
        network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = loss_of(order[place * options.batch : (place + 1) * options.batch], dice)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        step, losses = step + 1, [*losses[-99:], loss.item()]
        if not math.isfinite(losses[-1]):
            raise reslab.ResLabError(f"the loss is no number after step {step}", "choose a lower --rate")
        if len(looks) < LOOKS * share - 1:
            look = {
                "minutes": round(now / 60, 2),
                "epoch": epoch,
                "loss": round(float(np.mean(losses)), 4),
                **validate(),
            }
            looks.append(look)
            print("  ".join(f"{key} {value:g}" for key, value in look.items()), flush=True)
        if time.monotonic() - begin - saved > SAVE_EVERY:
            saved = time.monotonic() - begin
            _save(file, network, optimizer, [step, spent + saved, looks], options)
    print(f"trained for {step} steps, {step / per_epoch:.1f} epochs", flush=True)
    return looks


def _save(file: Path, network: nn.Module, optimizer: torch.optim.Optimizer, progress: list, options: Options) -> None:
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "progress": progress}
    torch.save({**state, "options": plain(options)}, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def _resume(file: Path, network: nn.Module, optimizer: torch.optim.Optimizer, options: Options) -> tuple:
    if not file.exists():
        return 0, 0.0, []
    try:
        state = torch.load(file, weights_only=True)
        if state["options"] != plain(options):
            raise reslab.ResLabError(f"{file} belongs to a run with other options: {state['options']}")
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    except reslab.ResLabError:
        raise
    except Exception:  # a damaged file raises whatever its bytes happen to say
        raise reslab.ResLabError(f"{file} cannot be read", "delete it to train anew") from None
    print(f"going on after step {state['progress'][0]}", flush=True)
    return tuple(state["progress"])


def plain(options: Options) -> dict[str, object]:
    """The options that decide a run, as JSON holds them."""
    return {key: str(value) if key == "data" else value for key, value in asdict(options).items() if key != "out"}


# ------------------------------------------------------------------ results


def answers(network: nn.Module, pixels: np.ndarray, batch: int = 16) -> list[np.ndarray]:
    """What the network answers for uint8 `[n, h, w, 3]`, one array per output."""
    network.eval()
    with torch.inference_mode():
        parts = [FromPixels(network)(torch.from_numpy(pixels[i : i + batch])) for i in range(0, len(pixels), batch)]
    return [torch.cat(part).numpy() for part in zip(*parts, strict=True)]


def export_onnx(network: nn.Module, pixels: np.ndarray, names: list[str], file: Path) -> list[np.ndarray]:
    """Write the network as one ONNX file for any number of pictures, and return what onnxruntime answers for `pixels`."""
    example = torch.from_numpy(pixels[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(
            FromPixels(network).eval(), (example,), file, dynamo=True, verbose=False, external_data=False,
            input_names=["pixels"], output_names=names, dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"pixels": pixels[i : i + 7]}) for i in range(0, len(pixels), 7)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def interval(score: Callable[[np.ndarray], float], pictures: int, seed: int, rounds: int = 1000) -> list[float]:
    """The 95 % interval of a score over pictures, by the percentile bootstrap (Efron 1979).

    Args:
        score: of the pictures with these numbers, of which some come several times.
    """
    dice = np.random.default_rng(seed)
    scores = [score(dice.integers(0, pictures, pictures)) for _ in range(rounds)]
    return [round(float(edge), 4) for edge in np.nanquantile(scores, (0.025, 0.975))]


def by_name(names: list[str], scores: np.ndarray) -> dict[str, float | None]:
    """A score per class; None where it is not defined."""
    return {name: None if np.isnan(x) else round(float(x), 4) for name, x in zip(names, scores, strict=True)}


def write_result(options: Options, result: dict[str, object]) -> None:
    """`result.json`, which says that the run is finished, and its lines."""
    (options.out / "result.json").write_text(json.dumps({**plain(options), **result}, indent=1) + "\n")
    (options.out / "state.pt").unlink(missing_ok=True)
    print("\n".join(f"{key}: {value}" for key, value in result.items() if key != "looks"))
