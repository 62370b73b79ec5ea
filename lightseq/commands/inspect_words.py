"""What ``lightseq inspect`` says in words: which loss this is the loss of, and what each gate is for."""

import math
from typing import NamedTuple

from ..backbones import Backbone
from ..backbones.linear import RGLRU, MinGRU, MinLSTM
from ..backbones.matrix import MLSTM
from ..backbones.recurrent import GRU, LSTM, RNN
from ..inspection import Inspection


class Gate(NamedTuple):
    """What a name of a backbone's trace is."""

    equation: str
    meaning: str


HIDDEN = "What the unit carries to the next time step, and shows to the layer above."
INPUT = "How much of the candidate is written: near 0 the unit ignores the token just read, near 1 it takes it in."
CANDIDATE = "The new value that could be written, made of what the layer reads: this token and the few before it."
LOOK_BACK = "The new value that could be written, made of the token just read and of what the units showed before."

GATES: dict[type[Backbone], dict[str, Gate]] = {
    RNN: {"hidden": Gate("h' = tanh(W x + U h + b), or max(0, ..)", f"{HIDDEN} There are no gates: all is rewritten.")},
    GRU: {
        "reset": Gate(
            "r = sigmoid(W_r x + U_r h + b_r)",
            "How much of the past the candidate may look at: near 0 the candidate starts afresh from the token just "
            "read, near 1 it sees all that the units carry.",
        ),
        "update": Gate(
            "z = sigmoid(W_z x + U_z h + b_z)",
            "The share of the old value that is kept: near 1 the unit remembers and nothing is written, near 0 the "
            "candidate takes its place. (Some books write 1 - z for it.)",
        ),
        "candidate": Gate("n = tanh(W_n x + b_n + r · (U_n h + c_n))", LOOK_BACK),
        "hidden": Gate("h' = (1 - z) · n + z · h", HIDDEN),
    },
    LSTM: {
        "input": Gate("i = sigmoid(W_i x + U_i h + b_i)", INPUT),
        "forget": Gate(
            "f = sigmoid(W_f x + U_f h + b_f)",
            "The share of the old cell value that is kept: near 1 the unit remembers, near 0 it forgets.",
        ),
        "candidate": Gate("g = tanh(W_g x + U_g h + b_g)", LOOK_BACK),
        "output": Gate(
            "o = sigmoid(W_o x + U_o h + b_o)",
            "How much of the cell is shown at this time step: near 0 the unit keeps what it knows to itself.",
        ),
        "cell": Gate("c' = f · c + i · g", "The unit's memory: what was kept of it and what was written into it."),
        "hidden": Gate("h' = o · tanh(c')", "What the unit shows, to the layer above and to the next time step."),
    },
    MinGRU: {
        "update": Gate(
            "z = sigmoid(W_z x + b_z)",
            "The share that is new: near 1 the candidate takes the old value's place, near 0 the unit remembers.",
        ),
        "candidate": Gate("c = W_c x + b_c", CANDIDATE),
        "hidden": Gate("h' = (1 - z) · h + z · c", HIDDEN),
    },
    MinLSTM: {
        "input": Gate("i' = i / (f + i), with i = sigmoid(W_i x + b_i)", INPUT),
        "forget": Gate(
            "f' = f / (f + i), with f = sigmoid(W_f x + b_f)",
            "The share of the old value that is kept: near 1 the unit remembers. Input and forget sum to 1.",
        ),
        "candidate": Gate("c = W_c x + b_c", CANDIDATE),
        "hidden": Gate("h' = f' · h + i' · c", HIDDEN),
    },
    RGLRU: {
        "recurrence": Gate(
            "r = sigmoid(W_r x + b_r)",
            "How fast the unit forgets at this time step: near 0 it keeps all that it has, near 1 it forgets as fast "
            "as it ever does.",
        ),
        "input": Gate("i = sigmoid(W_i x + b_i)", INPUT),
        "decay": Gate("a = sigmoid(Λ)^(8 r)", "The share of the old value that is kept: near 1 the unit remembers."),
        "hidden": Gate("h' = a · h + √(1 - a²) · i · x", HIDDEN),
    },
    MLSTM: {
        "input": Gate(
            "i = exp(w_i x + b_i), one a head",
            "How strongly the head writes the token just read into its memory; it may be above 1.",
        ),
        "forget": Gate(
            "f = sigmoid(w_f x + b_f), one a head", "The share of the head's memory that is kept: near 1 it remembers."
        ),
        "output": Gate(
            "o = sigmoid(W_o x + b_o)", "How much of what was read from the memory is shown at this time step."
        ),
        "hidden": Gate("h = o · norm(C q / max(|n q|, 1))", "What the unit shows to the layer above."),
    },
}
"""By backbone: the equations are those of ``lightseq.backbones``; h (or c) is what is carried, x what the layer
reads, and a sigmoid lies between 0 and 1."""


def gate(backbone: Backbone, name: str) -> Gate:
    """What a name of a trace is; of a plugin's nothing is known but the name."""
    return GATES.get(type(backbone), {}).get(
        name, Gate("", "A value that this backbone names; its own pages say more.")
    )


def bits(nats: float) -> float:
    """The same in another unit."""
    return nats / math.log(2)


def nats_and_bits(nats: float) -> str:
    """``1.3863 nats (2.0000 bits)``."""
    return f"{nats:.4f} nats ({bits(nats):.4f} bits)"


def loss_words(inspection: Inspection) -> list[str]:
    """Which time steps are scored, what their sum is the loss of, and what their mean is: a sentence or two each."""
    scored, steps = int(inspection.scored.sum()), len(inspection.tokens)
    total, mean = nats_and_bits(inspection.total), nats_and_bits(inspection.mean)
    if inspection.task == "unlabelled":
        return ["Nothing is scored: the true label was not said. --label says it."]
    if inspection.task == "classification":
        return [
            "Only the last time step is scored, when all of the text has been read: -ln p of the true label. The time "
            "steps before it show how the model makes up its mind; they cost nothing.",
            f"So the loss of the whole text is that of one time step: {total}.",
            "Training minimises the mean of this over all texts, and val/loss is that mean over the validation split.",
        ]
    if not scored:
        return ["Nothing is scored: nothing is known of what would follow a single token."]
    which = {
        "documents": f"The loss of a time step is -ln p of the token that came next. All {steps} are scored: the "
        "boundary before the text is read, so its first token is scored too, and its end as well.",
        "stream": f"The loss of a time step is -ln p of the token that came next. {scored} of {steps} are scored: "
        "nothing is known of what would follow the last token, and none predicts the first.",
        "tagging": f"The loss of a time step is -ln p of the true label of the token just read. {scored} of {steps} "
        "are scored: the boundary before the text has no label.",
    }[inspection.task]
    whole = {
        "documents": "-ln of the chance that the model writes exactly this and then stops",
        "stream": "-ln of the chance that the model goes on from the first token exactly like this",
        "tagging": "-ln of the chance of all these labels together",
    }[inspection.task]
    also = " (with model.loss document: the mean of the sums)" if inspection.task == "documents" else ""
    return [
        which,
        f"Their sum, {total}, is the loss of the whole text: {whole}.",
        f"Their mean is {mean} a time step. Over the whole validation split this is val/loss, and over a batch it is "
        f"what training minimises{also}.",
    ]
