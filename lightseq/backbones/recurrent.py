"""The classical recurrent networks: Elman's RNN, the GRU and the LSTM.

A layer is a fused ``torch`` kernel for training, and beside it its cell as a pure function that reads as its equations
(``cells.py``). The cell makes ``step`` (the differentiable reference) and ``trace`` (what the inspector shows); the
sampler's form of it, which writes into its own memory, is in ``stepping.py``.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor, nn

from ..types import PositiveInt, Probability, State
from .base import Backbone, Run, Stepper, without_gradients
from .cells import Cell, Internals, gru_cell, lstm_cell, relu_cell, tanh_cell
from .dropout import drop_values, run_dropped
from .stepping import LayersRun, Prepare, prepare_gru, prepare_lstm, prepare_relu, prepare_tanh


class Recurrent(Backbone):
    """Layers of one cell: y_l = norm(h_l), or x_l + norm(h_l) above the first where ``residual`` says so.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: L.
        dropout: Share of the values dropped on the connections that are not recurrent: input, between layers, output
            (Zaremba et al. 2014, arXiv 1409.2329).
        input_dropout: The share on the input; None is ``dropout``.
        output_dropout: The share on the output; None is ``dropout``.
        locked: Drop the same values at every time step of a window (Gal and Ghahramani 2016, arXiv 1512.05287).
        weight_drop: Share of the hidden-to-hidden weights dropped for a window (Merity et al. 2017, arXiv 1708.02182).
        residual: A layer above the first adds what it reads to what it gives.
        layer_norm: Normalise what a layer gives (Ba et al. 2016, arXiv 1607.06450), not what it carries.
        orthogonal: Hidden-to-hidden matrices start orthogonal (Saxe et al. 2014, arXiv 1312.6120), the input's Glorot
            uniform, each gate's by itself, and biases at zero; else all is torch's uniform.
        initial_state: Zero, or learned, starting at zero.
    """

    cell: Cell
    prepare: Prepare
    """The sampler's form of ``cell``: whoever says one says both."""
    parts: int
    """How many tensors the state has."""
    layers: Sequence[nn.RNNBase]

    def __init__(
        self,
        input_size: PositiveInt,
        hidden_size: PositiveInt,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
        input_dropout: Probability | None = None,
        output_dropout: Probability | None = None,
        locked: bool = False,
        weight_drop: Probability = 0.0,
        residual: bool = False,
        layer_norm: bool = False,
        orthogonal: bool = False,
        initial_state: Literal["zero", "learned"] = "zero",
    ) -> None:
        super().__init__(input_size)
        self.output_size = hidden_size
        self.dropout, self.locked, self.weight_drop, self.residual = dropout, locked, weight_drop, residual
        self.input_dropout = dropout if input_dropout is None else input_dropout
        self.output_dropout = dropout if output_dropout is None else output_dropout
        widths = [input_size, *[hidden_size] * (num_layers - 1)]
        self.layers = nn.ModuleList(map(self.make_layer, widths))  # type: ignore[assignment]  # it says not of what
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) if layer_norm else nn.Identity() for _ in widths)
        learned = self.parts if initial_state == "learned" else 0
        self.start = nn.ParameterList(torch.zeros(num_layers, 1, hidden_size) for _ in range(learned))
        self.initialise(orthogonal)

    @abstractmethod
    def make_layer(self, input_size: int) -> nn.RNNBase:
        """One layer, ``output_size`` wide, the batch first."""

    @torch.no_grad()
    def initialise(self, orthogonal: bool) -> None:
        """Set the weights that do not start as torch's."""
        for layer in self.layers if orthogonal else ():
            w_input, w_hidden, b_input, b_hidden = layer.all_weights[0]
            for gate_input, gate_hidden in zip(w_input.chunk(self.gates), w_hidden.chunk(self.gates), strict=True):
                nn.init.xavier_uniform_(gate_input)
                nn.init.orthogonal_(gate_hidden)
            nn.init.zeros_(b_input)
            nn.init.zeros_(b_hidden)

    def initial_state(self, batch_size: int) -> State:
        if self.start:
            return tuple(part.expand(-1, batch_size, -1) for part in self.start)
        weight = self.layers[0].all_weights[0][0]
        return tuple(weight.new_zeros(len(self.layers), batch_size, self.output_size) for _ in range(self.parts))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(len(x)) if state is None else state
        x, finals = self._drop(x, self.input_dropout), []
        for number, layer in enumerate(self.layers):
            x = self._drop(x, self.dropout) if number else x
            own = tuple(part[number : number + 1].contiguous() for part in state)  # cuDNN takes no other
            hidden, final = self._run(layer, x, own)
            x = self._give(number, x, hidden)
            finals.append(final)
        return self._drop(x, self.output_dropout), tuple(torch.cat(parts) for parts in zip(*finals, strict=True))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self._step(x, state)[:2]

    def stepper(self, embedding: Tensor) -> Stepper:
        begin = self.runner(embedding)

        def advance(ids: Tensor, state: State) -> tuple[Tensor, State]:
            run = begin(state)
            return run(ids), run.state

        return without_gradients(advance)

    @torch.no_grad()
    def runner(self, embedding: Tensor) -> Callable[[State], Run]:
        """The first layer's input product is a row of a (V, GH) table; ``stepping.py`` has the rest."""
        layers = [self.prepare([weight.detach() for weight in layer.all_weights[0]]) for layer in self.layers]
        with torch.autocast(embedding.device.type, enabled=False):
            table = torch.addmm(layers[0].bias, embedding.detach(), layers[0].w_input)
        normed = any(isinstance(norm, nn.LayerNorm) for norm in self.norms)
        return partial(LayersRun, table, layers, self._give if normed or self.residual else None)

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """What the cell's equations name, each (B, T, L, H); ``hidden`` is as it is carried, before any norm."""
        state = self.initial_state(len(x)) if state is None else state
        steps = []
        for now in x.unbind(1):
            _, state, internals = self._step(now, state)
            steps.append({name: torch.stack([layer[name] for layer in internals], 1) for name in internals[0]})
        return {name: torch.stack([step[name] for step in steps], 1) for name in steps[0]}

    def _step(self, x: Tensor, state: State) -> tuple[Tensor, State, list[Internals]]:
        """x (B, D) through every layer: y (B, H), the state (L, B, H), and each layer's internals."""
        states, internals = [], []
        for number, layer in enumerate(self.layers):
            w_input, w_hidden, b_input, b_hidden = layer.all_weights[0]
            own = tuple(part[number] for part in state)
            own, named = self.cell(x @ w_input.T + b_input, own[0] @ w_hidden.T + b_hidden, own)
            x = self._give(number, x, own[0])
            states.append(own)
            internals.append(named)
        return x, tuple(torch.stack(parts) for parts in zip(*states, strict=True)), internals

    def _run(self, layer: nn.RNNBase, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One layer over a window, what it reads (B, T, ...) and its state (1, B, H): hidden states and that state."""
        given = state if self.parts > 1 else state[0]
        if self.training and self.weight_drop > 0:
            hidden, *final = run_dropped(layer, x, given, self.weight_drop)
            return hidden, tuple(final)
        hidden, end = layer(x, given)
        return hidden, end if self.parts > 1 else (end,)

    def _give(self, number: int, x: Tensor, hidden: Tensor) -> Tensor:
        """What a layer gives to the one above."""
        y: Tensor = self.norms[number](hidden)
        return x + y if self.residual and number else y

    def _drop(self, x: Tensor, share: float) -> Tensor:
        return drop_values(x, share, self.locked) if self.training else x


class RNN(Recurrent):
    """Elman's recurrent network. ``trace`` gives ``hidden``.

    Args:
        activation: ``tanh``, or ``relu``.

    The other arguments are those of ``Recurrent``.
    """

    parts = 1

    def __init__(
        self,
        input_size: PositiveInt,
        hidden_size: PositiveInt,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
        activation: Literal["tanh", "relu"] = "tanh",
        input_dropout: Probability | None = None,
        output_dropout: Probability | None = None,
        locked: bool = False,
        weight_drop: Probability = 0.0,
        residual: bool = False,
        layer_norm: bool = False,
        orthogonal: bool = False,
        initial_state: Literal["zero", "learned"] = "zero",
    ) -> None:
        self.activation = activation  # first, for the layers are made of it
        self.cell, self.prepare = (tanh_cell, prepare_tanh) if activation == "tanh" else (relu_cell, prepare_relu)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            dropout,
            input_dropout=input_dropout,
            output_dropout=output_dropout,
            locked=locked,
            weight_drop=weight_drop,
            residual=residual,
            layer_norm=layer_norm,
            orthogonal=orthogonal,
            initial_state=initial_state,
        )

    def make_layer(self, input_size: int) -> nn.RNNBase:
        return nn.RNN(input_size, self.output_size, batch_first=True, nonlinearity=self.activation)


class GRU(Recurrent):
    """Gated recurrent unit. ``trace`` gives ``reset``, ``update``, ``candidate`` and ``hidden``.

    The arguments are those of ``Recurrent``.
    """

    parts, gates = 1, 3
    cell, prepare = staticmethod(gru_cell), staticmethod(prepare_gru)

    def make_layer(self, input_size: int) -> nn.RNNBase:
        return nn.GRU(input_size, self.output_size, batch_first=True)


class LSTM(Recurrent):
    """Long short-term memory, the forget gate's bias at 1 so that it remembers from the start
    (Jozefowicz et al. 2015). The state is (hidden, cell).

    ``trace`` gives ``input``, ``forget``, ``candidate``, ``output``, ``cell`` and ``hidden``.
    The arguments are those of ``Recurrent``. Under bfloat16 autocast on a CPU without a bfloat16 LSTM the layers run in
    the precision of their weights.
    """

    parts, gates = 2, 4
    cell, prepare = staticmethod(lstm_cell), staticmethod(prepare_lstm)

    def make_layer(self, input_size: int) -> nn.RNNBase:
        return nn.LSTM(input_size, self.output_size, batch_first=True)

    @torch.no_grad()
    def initialise(self, orthogonal: bool) -> None:
        super().initialise(orthogonal)
        for layer in self.layers:
            _, _, b_input, b_hidden = layer.all_weights[0]
            b_input.chunk(4)[1].fill_(1.0)
            b_hidden.chunk(4)[1].zero_()  # torch adds two biases: their sum is the gate's

    def _run(self, layer: nn.RNNBase, x: Tensor, state: State) -> tuple[Tensor, State]:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or has_bfloat16_lstm():
            return super()._run(layer, x, state)
        dtype = layer.all_weights[0][0].dtype
        with torch.autocast("cpu", enabled=False):
            return super()._run(layer, x.to(dtype), tuple(part.to(dtype) for part in state))


@cache
def has_bfloat16_lstm() -> bool:
    """Return whether this CPU runs torch's LSTM under bfloat16 autocast: oneDNN needs AVX-512 for it, and raises."""
    with torch.random.fork_rng(devices=[]), torch.autocast("cpu", torch.bfloat16):
        try:
            nn.LSTM(1, 1)(torch.zeros(1, 1, 1))
        except RuntimeError:
            return False
    return True
