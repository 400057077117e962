"""The bytes of a model's weights by place: embedding, each layer, output; counted here or read elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.fit.architecture import Architecture, parameters, tensors
from aiplat.fit.kept import Kept, kept_parts
from aiplat.fit.quantisation import Quantisation


@dataclass(frozen=True)
class Weights:
    """Bytes of weights. A shared embedding stands in `embedding`, and `output` is 0."""

    quantisation: str
    embedding: int
    output: int
    layers: tuple[int, ...]
    active: int
    """Bytes read to make one token: all but the embedding and the experts that are not chosen."""
    measured: bool = False
    """Read from the model's own files rather than counted from its shape."""
    experts: int = 0
    """Bytes of experts, which may stay in the processor's memory."""
    doubt: float = 0.02
    """Share by which the true bytes may be larger."""
    largest: int = 0
    """Elements of the largest matrix of a layer."""

    @property
    def total(self) -> int:
        """Bytes of the whole model as a file."""
        return self.embedding + self.output + sum(self.layers)

    @property
    def head(self) -> int:
        """Bytes of the matrix that makes the output: a copy of the embedding where that is shared."""
        return self.output or self.embedding


def counted_weights(arch: Architecture, quantisation: Quantisation, kept: Kept | None = None) -> Weights:
    """Return the bytes of a model of this shape under this quantisation.

    What is `kept` is in 16 bits; left out, it is what the model's makers keep.
    """
    parts = () if quantisation.by_others else arch.kept.get(quantisation.name, ())
    kept = kept or (kept_parts(arch, parts) if parts else None)
    layers = [0.0] * arch.layers
    outside = {"embedding": 0.0, "output": 0.0}
    active = experts = 0.0
    largest = elements = 0
    for tensor in tensors(arch):
        bits = quantisation.bits(arch, tensor)
        size = tensor.elements * (max(bits, 16.0) if kept and kept(tensor) else bits) / 8
        if tensor.layer < 0:
            outside[tensor.role] = size
        else:
            layers[tensor.layer] += size
            largest = max(largest, tensor.elements)
        active += size * tensor.share
        experts += size if tensor.share < 1 and tensor.layer >= 0 else 0
        elements += tensor.elements
    # What the shape leaves out (shared norms, extra projections) is spread over the layers.
    stretch = _stretch(parameters(arch), elements)
    return Weights(
        quantisation.name,
        round(outside["embedding"]),
        round(outside["output"]),
        tuple(round(size * stretch) for size in layers),
        round(active + (outside["embedding"] if arch.tied else 0)),
        experts=round(experts * stretch),
        doubt=quantisation.doubt,
        largest=largest,
    )


def _stretch(published: int, counted: int) -> float:
    """Return by how much layers are larger than counted; a total that is far off is not believed."""
    ratio = published / counted
    return ratio if 0.97 < ratio < 1.03 else 1.0
