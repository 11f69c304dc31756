"""How fast this machine trains and encodes: its matrix speed, and what models reach of it."""

import math
import time
from dataclasses import dataclass

from flows.config import PipelineConfig
from tasks.pretrain.sizes import encoder_flops_per_token
from tasks.store.surroundings import describe_machine

FORWARD_SHARE = 1 / 3  # of the work of a forward and a backward pass
# The part of the machine's matrix speed that an encoder reaches grows with its width. On two cores,
# where a product of two matrices of 1024 ran at 800 GFLOP a second, these were measured; above 384
# nothing was, and the part is taken to stay as it is there.
FLOPS_PER_S_AND_PROCESSOR = 4e11
PRETRAINING = ((128, 0.096), (384, 0.28))  # width and part; the head and the optimizer count
TUNING = ((128, 0.165), (384, 0.30))
ENCODING = ((128, 0.085), (384, 0.26))  # in float32


@dataclass(frozen=True)
class Speed:
    """Of one machine.

    Attributes:
        flops_per_s: of large matrices, in the precision that training uses.
        num_gpus: how many devices pretraining can use at once; 0 = the processor only.
    """

    flops_per_s: float
    num_gpus: int = 0

    def pretraining_s(self, config: PipelineConfig, flops: float) -> float:
        """Seconds for so many operations of pretraining an encoder of this width."""
        return flops / (self.flops_per_s * _part(PRETRAINING, config))

    def tuning_s(self, config: PipelineConfig, flops: float) -> float:
        """Seconds for so many operations of tuning it."""
        return flops / (self.flops_per_s * _part(TUNING, config))

    def encode_s(self, config: PipelineConfig, num_tokens: float) -> float:
        """Seconds to encode so many tokens with it."""
        row_tokens = config.tokenize.row_tokens
        per_token = encoder_flops_per_token(config.pretrain.shape, row_tokens=row_tokens)
        flops = num_tokens * per_token * FORWARD_SHARE
        return flops / (self.flops_per_s * _part(ENCODING, config))


def _part(measured: tuple[tuple[int, float], tuple[int, float]], config: PipelineConfig) -> float:
    """On the line through two points, not above the second; towards none at no width."""
    (narrow, least), (wide, most) = measured
    width = config.pretrain.shape.hidden_size
    if width < narrow:
        return least * width / narrow
    return min(least + (most - least) * (width - narrow) / (wide - narrow), most)


def usual_speed() -> Speed:
    """The speed to weigh the parts of a stage by, where runs tell how long the whole takes.

    A processor's is not measured, because what else the machine does at the moment would count.
    """
    if describe_machine()["num_gpus"]:
        return measured_speed()
    return Speed(FLOPS_PER_S_AND_PROCESSOR * describe_machine()["num_processors"])


def measured_speed(*, tries: int = 5) -> Speed:
    """The matrix speed of this machine in the precision training would use; takes moments."""
    import torch

    from tasks.runtime.devices import pick_device, pick_precision

    device = pick_device("auto")
    width = 8192 if device.type == "cuda" else 1024
    matrix = torch.ones(width, width, dtype=pick_precision("auto", device), device=device)
    best_s = math.inf
    for _ in range(tries):
        started = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # reading a value waits for the device
        best_s = min(best_s, time.perf_counter() - started)
    return Speed(2 * width**3 / best_s, torch.cuda.device_count())
