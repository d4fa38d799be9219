"""Principal component analysis: the directions in which features vary most. numpy only."""

import numpy as np
from jaxtyping import Float, Float64


def principal_components(
    features: Float[np.ndarray, "n d"], k: int = 2
) -> tuple[Float64[np.ndarray, "n k"], Float64[np.ndarray, "k"]]:
    """Coordinates of each row along the first k principal components, and the share of the variance that each explains.

    The sign of a component is that which makes its largest weight positive, as scikit-learn has it, so that the same
    features give the same picture.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    variances, vectors = np.linalg.eigh(centred.T @ centred)  # in ascending order
    components, largest = vectors[:, ::-1][:, :k], np.maximum(variances[::-1][:k], 0)
    leading = components[np.abs(components).argmax(0), np.arange(components.shape[1])]
    coordinates = centred @ (components * np.sign(leading))
    return coordinates, largest / max(variances.sum(), np.finfo(np.float64).tiny)
