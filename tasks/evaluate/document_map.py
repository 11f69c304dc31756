"""Lays documents out in two dimensions so that neighbours stay neighbours.

Shape letters: N documents, D embedding width.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

MAX_DOCUMENTS = 2000  # of a page: more points hide each other, and cost a minute
_PERPLEXITY = 30.0
_LEAST_FOR_NEIGHBOURHOODS = 10  # fewer have no neighbourhoods to keep
_MOST_DIMS = 50  # the method's own advice: noise beyond them only costs time


def document_map(vectors_ND: NDArray[np.float32], *, seed: int) -> NDArray[np.float32]:
    """A place ``[N, 2]`` for each unit vector, by t-SNE from the first principal components.

    Distances between groups far apart say little; who lies beside whom is what is kept. The same
    vectors and seed give the same map.

    Args:
        vectors_ND: rows of unit length, at least one.
        seed: of the optimization.

    Source: van der Maaten and Hinton 2008, "Visualizing data using t-SNE"; started from principal
    components as Kobak and Berens 2019 advise.
    Cost: some seconds for a thousand documents.
    """
    num_documents = len(vectors_ND)
    if num_documents < _LEAST_FOR_NEIGHBOURHOODS:
        return _first_components(vectors_ND)
    num_dims = min(_MOST_DIMS, num_documents, vectors_ND.shape[1])
    reduced_ND = PCA(num_dims, random_state=seed).fit_transform(vectors_ND)
    method = TSNE(
        2,
        init="pca",
        perplexity=min(_PERPLEXITY, (num_documents - 1) / 3),
        random_state=seed,
        n_jobs=1,
    )
    places_N2: NDArray[np.float32] = method.fit_transform(reduced_ND).astype(np.float32)
    return places_N2


def _first_components(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    left_NK, sizes_K, _ = np.linalg.svd(vectors_ND - vectors_ND.mean(axis=0), full_matrices=False)
    places_N2 = np.zeros((len(vectors_ND), 2), dtype=np.float32)
    places_N2[:, : len(sizes_K)] = (left_NK * sizes_K)[:, :2]
    return places_N2
