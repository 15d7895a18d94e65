"""What features cost: one window of layers of the size of 5b's, beside the deprecated port and the machine's limit.

The work is matrix products: the limit is the rate at which one core multiplies large float32 matrices, measured in the
same run. Three layers (RCP, 4800 wide, 8192 codes) with random weights that fit half precision, in CPU-seconds of one
thread; four ways to keep them:

    stored     in half precision, as the released files, each layer widened when its turn comes (`jukebox features`)
    widened    all in float32 before
    packed     in half precision, multiplied by FBGEMM (`nn.packed`)
    peer       the Jukebox port inside transformers 4.57.6 (`pip install 'jukebox[bench]'`) with the same weights

each in fresh processes that alternate; their hidden states are compared with those of `widened`. Then the encoder of
the top level on 25 s of noise. Numbers for 36 and 72 layers are extrapolated from the three, and named so.

    python bench/features.py           # about six minutes, 6 GiB of memory
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import prior as prior_bench
from vqvae import matrix_rate, peak_gib

WIDTH, LAYERS, HEADS, CONTEXT, ROWS = 4800, 3, 8, 8192, 128
HOP, RATE = 128, 44_100
WAYS = ("stored", "widened", "packed", "peer")
PUBLISHED, WHOLE = 36, 72

prior_bench.SHAPES["5B"] = (WIDTH, LAYERS, HEADS, CONTEXT, ROWS)


def operations_of_layers(layers: int) -> float:
    """Floating-point operations of a window in so many layers."""
    one = prior_bench.operations_per_token("5B") - 2 * WIDTH * prior_bench.CODES
    return one / LAYERS * layers * CONTEXT


def weights():
    """The configuration, and random tensors whose numbers fit half precision."""
    import torch

    from jukebox.prior.initialise import new_prior

    config = prior_bench.config_of("5B")
    tensors = new_prior(config, torch.Generator().manual_seed(0)).state_dict()
    return config, {name: tensor.half() for name, tensor in tensors.items()}


def some_codes():
    import torch

    return torch.randint(0, prior_bench.CODES, (1, CONTEXT), generator=torch.Generator().manual_seed(1))


def ours(way: str) -> Callable[[], object]:
    """Hidden states of the last layer."""
    import torch

    from jukebox.checkpoints.load import first_layers
    from jukebox.checkpoints.openai import Imported
    from jukebox.features.brought import bring_layers
    from jukebox.nn.packed import pack
    from jukebox.prior.conditions import Conditions

    config, tensors = weights()
    prior = first_layers(Imported(config=config, tensors=tensors, source={}), LAYERS)
    bring_layers(prior, torch.device("cpu"), torch.float32, keep=way != "stored")
    del tensors
    if way == "packed":
        pack(prior.transformer)
    codes = some_codes()
    return lambda: prior.hidden_states(codes, Conditions(), frozenset({LAYERS}))[LAYERS]


def peer() -> Callable[[], object]:
    """The port's, which also makes logits."""
    from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxPriorConfig
    from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxConditionalAutoregressive

    from jukebox.checkpoints import huggingface, names

    config = JukeboxPriorConfig(
        hidden_size=WIDTH, num_layers=LAYERS, n_heads=HEADS, n_ctx=CONTEXT, blocks=ROWS, mask=True,
        attention_pattern="raw_column_previous_row_attention", attention_multiplier=0.25, mlp_multiplier=1.0,
        merged_decoder=False, music_vocab_size=prior_bench.CODES, nb_relevant_lyric_tokens=0,
    )  # fmt: skip
    other = JukeboxConditionalAutoregressive(config, n_ctx=CONTEXT, embed_dim=prior_bench.CODES).eval()
    ours_config, tensors = weights()
    theirs = names.to_theirs(tensors, huggingface.name_table(ours_config))
    found = {name.removeprefix("prior."): tensor.float() for name, tensor in theirs.items()}
    missing = other.load_state_dict(found, strict=False)
    assert not missing.unexpected_keys, missing
    assert set(missing.missing_keys) <= {"fc_proj_out.weight"}, missing
    codes = some_codes()
    return lambda: other(codes, get_acts=True)[1]


def worker(way: str) -> dict[str, float]:
    """One process: CPU-seconds of a window, what its hidden states are, and the peak of memory."""
    import torch

    torch.set_num_threads(1)
    task = peer() if way == "peer" else ours(way)
    with torch.no_grad():
        start = time.process_time()
        hidden = task()
        spent_s = time.process_time() - start
    # A hundred numbers here and there stand for all.
    flat = hidden.flatten()[:: hidden.numel() // 100]
    return {"spent_s": spent_s, "peak_gib": peak_gib(), "seen": flat.tolist()}


def encoder(seconds: float) -> dict[str, float]:
    """CPU-seconds of the released encoder's shape, top level alone."""
    import torch

    from jukebox.config import VqvaeConfig
    from jukebox.vqvae.streaming import encode_stream
    from jukebox.vqvae.vqvae import VQVAE

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, sound = VQVAE(VqvaeConfig()).eval(), 0.1 * torch.randn(1, int(seconds * RATE))
    list(encode_stream(model, [sound[:, : 1 << 17]], (2,)))
    start = time.process_time()
    list(encode_stream(model, [sound], (2,)))
    return {"spent_s": time.process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=(*WAYS, "encoder"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(encoder(25.0) if arguments.worker == "encoder" else worker(arguments.worker)))
        return
    rates, found = [], {way: [] for way in WAYS}
    for _ in range(arguments.rounds):
        rates.append(matrix_rate())
        for way, rows in found.items():
            rows.append(prior_bench.run("--worker", way, file=__file__))
    encoded_s = prior_bench.run("--worker", "encoder", file=__file__)["spent_s"]
    rate, operations = statistics.median(rates), operations_of_layers(LAYERS)
    sound_s = CONTEXT * HOP / RATE
    spent = {way: statistics.median(row["spent_s"] for row in rows) for way, rows in found.items()}
    exact = found["widened"][0]["seen"]
    print(
        f"{platform.machine()}, one thread: {rate / 1e9:.0f} GFLOP/s on large float32 products; a window of {LAYERS} "
        f"layers: {operations / 1e12:.2f} TFLOP, {sound_s:.2f} s of sound"
    )
    print("| weights | CPU-seconds (all rounds) | GFLOP/s | share of limit | peak | largest difference |")
    print("|---|---|---|---|---|---|")
    for way, rows in found.items():
        difference = max(abs(a - b) for a, b in zip(rows[0]["seen"], exact, strict=True)) / max(map(abs, exact))
        each = ", ".join(f"{row['spent_s']:.1f}" for row in rows)
        done = operations / spent[way]
        print(
            f"| {way} | {spent[way]:.1f} ({each}) | {done / 1e9:.0f} | {done / rate:.0%} "
            f"| {max(row['peak_gib'] for row in rows):.1f} GiB | {difference:.1e} |"
        )
    layer_s, per_encode = spent["stored"] / LAYERS, encoded_s / 25.0
    logits_s = 2 * WIDTH * prior_bench.CODES * CONTEXT / (operations / spent["stored"])
    whole_s, some_s = WHOLE * layer_s + logits_s, PUBLISHED * layer_s
    print(f"\nRatio of the peer to ours: {spent['peer'] / spent['stored']:.2f} (it makes logits too).")
    print(
        f"Extrapolated from {LAYERS} layers: a window of {PUBLISHED} layers {some_s:.0f} CPU-seconds, "
        f"{some_s / sound_s:.1f} for a second of sound in one window, {2 * some_s / sound_s:.1f} with windows that "
        f"overlap by half; all {WHOLE} with logits {whole_s:.0f}: stopping saves {1 - some_s / whole_s:.0%}. "
        f"Encoding the top level: {per_encode:.2f} for a second of sound (measured)."
    )
    print(
        json.dumps({
            "matrix_gflops": rate / 1e9, "operations": operations, "spent_s": spent, "encoder_s_per_s": per_encode,
            "ratio_to_peer": spent["peer"] / spent["stored"], "share_of_limit": operations / spent["stored"] / rate,
            "extrapolated_window_s": some_s, "saved_by_stopping": 1 - some_s / whole_s,
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
