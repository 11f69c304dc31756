"""The registered embedder, as code MLflow keeps beside the weights and runs when it is loaded.

Stands alone: MLflow copies this one file and may run it where corpusmith is not installed.
"""

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

ARTIFACT = "embedder"  # name under which the sentence-transformers folder is kept


class DocumentEmbedder(PythonModel):
    """Texts in, unit vectors out."""

    def load_context(self, context: PythonModelContext) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(context.artifacts[ARTIFACT], device="cpu")

    def predict(
        self,
        context: PythonModelContext,
        model_input: list[str],
        params: dict[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Embed texts: float32 [number of texts, dimension], each row of unit length."""
        vectors = self._model.encode(list(model_input), normalize_embeddings=True)
        return np.asarray(vectors, dtype=np.float32)


set_model(DocumentEmbedder())
