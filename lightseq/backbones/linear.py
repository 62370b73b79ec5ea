"""Networks whose recurrence is linear in the hidden state, so that a whole window is one ``scan``: minGRU, minLSTM and
RG-LRU. Their gates see the present input alone, never the hidden state.

Gates, decays and hidden states are float32 under autocast too: rounded to bfloat16, a decay near 1 would be 1.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from ..types import State
from .blocks import Blocks, linear
from .cells import Internals
from .scan import precise, scan

SHARPNESS = 8.0
"""c of Griffin's equation 3: an open recurrence gate forgets that many times faster than a = s(Lambda) does."""


class MinGRU(Blocks):
    """Feng et al. 2024 (arXiv 2410.01201, section 3.1), in residual blocks. The state is (hidden (L, B, H), what the
    convolutions look back at). The arguments are those of ``Blocks``.

    ``trace`` gives ``update``, ``candidate`` and ``hidden``, each (B, T, L, H).
    """

    def make_mixer(self, hidden_size: int) -> "MinGRUMixer":
        return MinGRUMixer(hidden_size)


class MinLSTM(Blocks):
    """Feng et al. 2024 (arXiv 2410.01201, section 3.2), in residual blocks. The state is (hidden (L, B, H), what the
    convolutions look back at). The arguments are those of ``Blocks``.

    ``trace`` gives ``input``, ``forget``, ``candidate`` and ``hidden``, each (B, T, L, H); input and forget sum to 1.
    """

    def make_mixer(self, hidden_size: int) -> "MinLSTMMixer":
        return MinLSTMMixer(hidden_size)


class RGLRU(Blocks):
    """De et al. 2024 (Griffin, arXiv 2402.19427, section 2.4), in its residual blocks. The state is (hidden (L, B, H),
    what the convolutions look back at). The arguments are those of ``Blocks``.

    ``trace`` gives ``recurrence`` and ``input``, the gates, ``decay`` and ``hidden``, each (B, T, L, H).
    """

    def make_mixer(self, hidden_size: int) -> "RGLRUMixer":
        return RGLRUMixer(hidden_size)


class MinGRUMixer(nn.Module):
    """z = s(W_z x); c = W_c x; h' = (1 - z) h + z c.

    The candidate is linear: the paper's positive one, which its sums of logarithms need and a scan does not, learns
    more slowly. The update gate starts half open; nearly shut, so as to remember, it learns no better.

    Args:
        size: H.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.parts = ((size,),)
        self.update, self.candidate = linear(size, size), linear(size, size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State, Internals]:
        """x (B, T, H) -> h (B, T, H), the last h, and ``update``, ``candidate``, ``hidden``."""
        total, candidate = precise(self.update(x)), precise(self.candidate(x))
        update = total.sigmoid()
        hidden = scan((-total).sigmoid(), update * candidate, *state)
        return hidden, (hidden[:, -1],), {"update": update, "candidate": candidate, "hidden": hidden}


class MinLSTMMixer(nn.Module):
    """f = s(W_f x); i = s(W_i x); c = W_c x; h' = f / (f + i) h + i / (f + i) c.

    The division is what makes it independent of the length. The candidate is linear, as ``MinGRUMixer`` says.

    Args:
        size: H.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.parts = ((size,),)
        self.input, self.forget, self.candidate = (linear(size, size) for _ in range(3))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State, Internals]:
        """x (B, T, H) -> h (B, T, H), the last h, and ``input`` and ``forget``, divided, ``candidate``, ``hidden``."""
        # f / (f + i) = s(log f - log i), which stays right where both are nearly 0
        odds = logsigmoid(precise(self.forget(x))) - logsigmoid(precise(self.input(x)))
        forget, written, candidate = odds.sigmoid(), (-odds).sigmoid(), precise(self.candidate(x))
        hidden = scan(forget, written * candidate, *state)
        return hidden, (hidden[:, -1],), {"input": written, "forget": forget, "candidate": candidate, "hidden": hidden}


class RGLRUMixer(nn.Module):
    """Griffin's equations 1 to 4: r = s(W_r x); i = s(W_i x); a = s(Lambda)^(c r); h' = a h + sqrt(1 - a^2) i x.

    The gates' matrices are dense, not block-diagonal. Lambda (``logit``) starts where a^c is uniform in 0.9 to 0.999.

    Args:
        size: H.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.parts = ((size,),)
        self.recurrence, self.input = linear(size, size), linear(size, size)
        # a memory of ten to a thousand time steps with the recurrence gate open
        kept = torch.empty(size).uniform_(0.9, 0.999) ** (1 / SHARPNESS)
        self.logit = nn.Parameter(kept.logit())

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State, Internals]:
        """x (B, T, H) -> h (B, T, H), the last h, and ``recurrence``, ``input``, ``decay``, ``hidden``."""
        recurrence, written = precise(self.recurrence(x)).sigmoid(), precise(self.input(x)).sigmoid()
        log_decay = -SHARPNESS * recurrence * softplus(-precise(self.logit))
        decay = log_decay.exp()
        # the root's slope at 0 is infinite, and that times a gradient of 0 is not a number
        scale = (-torch.expm1(2 * log_decay)).clamp_min(1e-12).sqrt()
        hidden = scan(decay, scale * written * x, *state)
        gates = {"recurrence": recurrence, "input": written, "decay": decay}
        return hidden, (hidden[:, -1],), {**gates, "hidden": hidden}
