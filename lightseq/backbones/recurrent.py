"""The classical recurrent networks: Elman's RNN, the GRU and the LSTM.

Each is a fused ``torch`` kernel for training, and beside it its cell as a pure function that reads as its equations.
The cell makes ``step`` (the differentiable reference), ``stepper`` (the sampler's, with the input weights folded into
a table a token) and ``trace`` (what the inspector shows).

Dropout falls on the connections that are not recurrent: input, between layers, output (Zaremba et al. 2014,
arXiv 1409.2329).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from ..types import PositiveInt, Probability, State
from .base import Backbone, Stepper

Internals: TypeAlias = dict[str, Tensor]
Cell: TypeAlias = Callable[[Tensor, Tensor, State], tuple[State, Internals]]
"""(W_i x + b_i (B, GH), W_h h + b_h (B, GH), one layer's state, each (B, H)) -> that state and the named internals."""


def rnn_cell(from_input: Tensor, from_hidden: Tensor, state: State, activation: str) -> tuple[State, Internals]:
    """Elman 1990: h' = tanh(W_i x + b_i + W_h h + b_h), or relu in place of tanh (Le et al. 2015)."""
    total = from_input + from_hidden
    hidden = total.tanh() if activation == "tanh" else total.relu()
    return (hidden,), {"hidden": hidden}


def gru_cell(from_input: Tensor, from_hidden: Tensor, state: State) -> tuple[State, Internals]:
    """Cho et al. 2014 (arXiv 1406.1078), with the reset gate after the product as cuDNN has it.

    r = s(x_r + h_r); z = s(x_z + h_z); n = tanh(x_n + r h_n); h' = (1 - z) n + z h. So z is the share that is kept.
    """
    (hidden,) = state
    x_r, x_z, x_n = from_input.chunk(3, -1)
    h_r, h_z, h_n = from_hidden.chunk(3, -1)
    reset = (x_r + h_r).sigmoid()
    update = (x_z + h_z).sigmoid()
    candidate = (x_n + reset * h_n).tanh()
    hidden = candidate + update * (hidden - candidate)
    return (hidden,), {"reset": reset, "update": update, "candidate": candidate, "hidden": hidden}


def lstm_cell(from_input: Tensor, from_hidden: Tensor, state: State) -> tuple[State, Internals]:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    i, f, o = s(..); g = tanh(..); c' = f c + i g; h' = o tanh(c').
    """
    _, cell = state
    i, f, g, o = (from_input + from_hidden).chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cell = f * cell + i * g
    hidden = o * cell.tanh()
    return (hidden, cell), {"input": i, "forget": f, "candidate": g, "output": o, "cell": cell, "hidden": hidden}


class RNN(Backbone):
    """Elman's recurrent network.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: L.
        dropout: Share of the values dropped on input, between layers and on output.
        activation: ``tanh``, or ``relu``.
    """

    def __init__(
        self,
        input_size: PositiveInt,
        hidden_size: PositiveInt,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
        activation: Literal["tanh", "relu"] = "tanh",
    ) -> None:
        super().__init__(input_size)
        self.output_size, self.dropout = hidden_size, dropout
        between = dropout if num_layers > 1 else 0.0
        self.core = nn.RNN(
            input_size, hidden_size, num_layers, batch_first=True, dropout=between, nonlinearity=activation
        )
        self.cell = partial(rnn_cell, activation=activation)

    def initial_state(self, batch_size: int) -> State:
        return _zeros(self.core, batch_size, parts=1)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        y, hidden = self.core(drop(x, self.dropout, self.training), None if state is None else state[0])
        return drop(y, self.dropout, self.training), (hidden,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return _step(self.core, self.cell, x, state)[:2]

    def stepper(self, embedding: Tensor) -> Stepper:
        return _folded_stepper(self.core, self.cell, embedding)

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """``hidden``, (B, T, L, H)."""
        return _trace(self.core, self.cell, x, state or self.initial_state(len(x)))


class GRU(Backbone):
    """Gated recurrent unit.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: L.
        dropout: Share of the values dropped on input, between layers and on output.
    """

    def __init__(
        self,
        input_size: PositiveInt,
        hidden_size: PositiveInt,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(input_size)
        self.output_size, self.dropout = hidden_size, dropout
        between = dropout if num_layers > 1 else 0.0
        self.core = nn.GRU(input_size, hidden_size, num_layers, batch_first=True, dropout=between)

    def initial_state(self, batch_size: int) -> State:
        return _zeros(self.core, batch_size, parts=1)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        y, hidden = self.core(drop(x, self.dropout, self.training), None if state is None else state[0])
        return drop(y, self.dropout, self.training), (hidden,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return _step(self.core, gru_cell, x, state)[:2]

    def stepper(self, embedding: Tensor) -> Stepper:
        return _folded_stepper(self.core, gru_cell, embedding)

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """``reset``, ``update``, ``candidate`` and ``hidden``, each (B, T, L, H)."""
        return _trace(self.core, gru_cell, x, state or self.initial_state(len(x)))


class LSTM(Backbone):
    """Long short-term memory, the forget gate's bias at 1 so that it remembers from the start
    (Jozefowicz et al. 2015). The state is (hidden, cell).

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: L.
        dropout: Share of the values dropped on input, between layers and on output.
    """

    def __init__(
        self,
        input_size: PositiveInt,
        hidden_size: PositiveInt,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(input_size)
        self.output_size, self.dropout = hidden_size, dropout
        between = dropout if num_layers > 1 else 0.0
        self.core = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, dropout=between)
        with torch.no_grad():
            for _, _, from_input, from_hidden in self.core.all_weights:
                from_input.chunk(4)[1].fill_(1.0)
                from_hidden.chunk(4)[1].zero_()  # torch adds two biases: their sum is the gate's

    def initial_state(self, batch_size: int) -> State:
        return _zeros(self.core, batch_size, parts=2)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        y, (hidden, cell) = self.core(drop(x, self.dropout, self.training), state)
        return drop(y, self.dropout, self.training), (hidden, cell)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return _step(self.core, lstm_cell, x, state)[:2]

    def stepper(self, embedding: Tensor) -> Stepper:
        return _folded_stepper(self.core, lstm_cell, embedding)

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """``input``, ``forget``, ``candidate``, ``output``, ``cell`` and ``hidden``, each (B, T, L, H)."""
        return _trace(self.core, lstm_cell, x, state or self.initial_state(len(x)))


def _zeros(core: nn.RNNBase, batch_size: int, parts: int) -> State:
    weight = core.all_weights[0][0]
    return tuple(weight.new_zeros(core.num_layers, batch_size, core.hidden_size) for _ in range(parts))


def _step(core: nn.RNNBase, cell: Cell, x: Tensor, state: State) -> tuple[Tensor, State, list[Internals]]:
    """x (B, D) through every layer: y (B, H), the state (L, B, H), and each layer's internals."""
    states, internals = [], []
    for layer, (w_input, w_hidden, b_input, b_hidden) in enumerate(core.all_weights):
        own = tuple(part[layer] for part in state)
        own, named = cell(x @ w_input.T + b_input, own[0] @ w_hidden.T + b_hidden, own)
        states.append(own)
        internals.append(named)
        x = own[0]
    return x, tuple(torch.stack(parts) for parts in zip(*states, strict=True)), internals


def _folded_stepper(core: nn.RNNBase, cell: Cell, embedding: Tensor) -> Stepper:
    """The first layer's input product is a row of a (V, GH) table; the other weights are kept transposed."""
    layers = [[weight.detach() for weight in weights] for weights in core.all_weights]
    table = torch.addmm(layers[0][2], embedding.detach(), layers[0][0].T)
    inputs = [(weights[2], weights[0].T.contiguous()) for weights in layers[1:]]
    hiddens = [(weights[3], weights[1].T.contiguous()) for weights in layers]

    @torch.no_grad()
    def advance(ids: Tensor, state: State) -> tuple[Tensor, State]:
        from_input = table[ids]
        states = []
        for layer, (bias, weight) in enumerate(hiddens):
            own = tuple(part[layer] for part in state)
            own, _ = cell(from_input, torch.addmm(bias, own[0], weight), own)
            states.append(own)
            if layer < len(inputs):
                from_input = torch.addmm(inputs[layer][0], own[0], inputs[layer][1])
        return states[-1][0], tuple(torch.stack(parts) for parts in zip(*states, strict=True))

    return advance


def _trace(core: nn.RNNBase, cell: Cell, x: Tensor, state: State) -> dict[str, Tensor]:
    steps = []
    for t in range(x.shape[1]):
        _, state, internals = _step(core, cell, x[:, t], state)
        steps.append({name: torch.stack([layer[name] for layer in internals], 1) for name in internals[0]})
    return {name: torch.stack([step[name] for step in steps], 1) for name in steps[0]}
