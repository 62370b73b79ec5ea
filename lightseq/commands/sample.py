"""``lightseq sample``: text from a run or a checkpoint, alone on standard output so that it pipes."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence

from ..errors import UserError
from . import Parser


def temperatures(text: str) -> list[float]:
    """``0.5,0.8`` -> [0.5, 0.8]."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"numbers with commas between them are needed, not {text!r}") from None


def run(verb: str, words: Sequence[str]) -> int:
    """Generate and print. Headings go to standard error, where there is more than one prompt or temperature."""
    arguments = _parser(verb).parse_args(words)

    from ..checkpoint import load_trained
    from ..sampling import generate

    trained = load_trained(arguments.place)
    if trained.labels is not None:
        raise UserError(f"{trained.path} predicts labels: there is no text to sample from it")
    prompts = arguments.prompt or [""]
    samples = generate(
        trained.model,
        trained.vocabulary,
        prompts,
        arguments.temperature,
        n=arguments.n,
        length=arguments.length,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
        token_counts=trained.token_counts,
    )
    several = len(prompts) * len(arguments.temperature) > 1
    for sample in samples:
        if several and sample.number == 0:
            sys.stdout.flush()
            print(f"# T={sample.temperature:.2f} {sample.prompt!r}", file=sys.stderr, flush=True)
        print(sample.text)
    return 0


def _parser(verb: str) -> Parser:
    parser = Parser(verb, "Generate text from a trained model.")
    parser.add_argument("place", metavar="RUN_OR_CHECKPOINT", help="a run folder (its best checkpoint) or a .ckpt file")
    parser.add_argument(
        "--temperature", type=temperatures, default=[0.8], metavar="T,T", help="0 is greedy; default 0.8"
    )
    parser.add_argument("--prompt", action="append", help="text to continue; may be given several times")
    parser.add_argument("--n", type=int, default=5, help="texts of each prompt and temperature; default 5")
    parser.add_argument("--length", type=int, default=512, help="tokens drawn at the most; default 512")
    parser.add_argument("--top-k", type=int, help="draw among the k likeliest tokens only")
    parser.add_argument("--top-p", type=float, help="draw among the fewest tokens that reach probability p only")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; default 0")
    return parser
