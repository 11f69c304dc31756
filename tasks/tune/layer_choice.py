"""Chooses the layer that an embedder reads its vectors off, by validation documents alone.

Shape letters: K layers, Q validation documents.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.retrieval import bootstrap_difference, hits_at, reciprocal_ranks
from tasks.checkpoints import checkpoint_folder
from tasks.tune.training import TuningRun
from tasks.tuned_layers import TunedLayers
from tasks.verdict import Verdict, verdict

# A layer counts as good as the best only where it cannot be further behind than this.
MARGIN = 0.01
_NUM_RESAMPLES = 1000


def choose_layer(tuning: TuningRun, *, seed: int) -> TunedLayers:
    """Measure the trained embedder cut after each layer, choose one, and say so.

    Args:
        tuning: has run, and has validation documents.
        seed: of the bootstrap.

    Cost: one validation.
    """
    assert tuning.validation is not None, "prepare refuses a choice without validation documents"
    weights_V = tuning.tuner.weights().detach()
    ranks_K = tuning.validation.ranks_by_layer(tuning.tuner.encoder, weights_V)
    reciprocals_K = [reciprocal_ranks(ranks_Q) for ranks_Q in ranks_K]
    layer = fewest_layers(reciprocals_K, seed=seed)
    found = TunedLayers(
        layer=layer,
        checkpoint=checkpoint_folder(tuning.folder, tuning.best_step)
        .relative_to(tuning.folder.parent)
        .as_posix(),
        validation_recall_at_1=[float(hits_at(ranks_Q, 1).mean()) for ranks_Q in ranks_K],
        validation_mrr=[float(values_Q.mean()) for values_Q in reciprocals_K],
    )
    tuning.report.table("layers", found.rows)
    tuning.report.message(
        f"tune reads vectors off layer {layer} of {len(ranks_K)}: validation MRR "
        f"{found.validation_mrr[layer - 1]:.3f}, of the last {found.validation_mrr[-1]:.3f}"
    )
    return found


def fewest_layers(reciprocals_K: Sequence[NDArray[np.floating]], *, seed: int) -> int:
    """The least layer that serves as well as the one with the highest mean, counted from 1.

    Every layer costs time at every export and every query, so one that gains nothing must not
    stay; and the highest of several means is partly luck. But that two cannot be told apart is no
    proof that they are equal: with few documents all are alike, and who then takes the least pays
    with quality unseen. So a lower layer is taken where both hold: the paired 95 % interval of its
    distance to the best includes zero, and does not reach beyond `MARGIN`. Fewer documents than a
    verdict needs show neither; there the highest mean decides, and of equals the last.

    Args:
        reciprocals_K: for layers 1, 2, ..., one over the rank of each document's other half.
        seed: of the bootstrap.
    """
    means_K = [float(values_Q.mean()) for values_Q in reciprocals_K]
    best = max(range(len(means_K)), key=lambda place: (means_K[place], place))
    for place, values_Q in enumerate(reciprocals_K):
        behind = bootstrap_difference(
            reciprocals_K[best], values_Q, num_resamples=_NUM_RESAMPLES, seed=seed
        )
        if verdict(behind) is Verdict.TIED and behind.high <= MARGIN:
            return place + 1
    return best + 1
