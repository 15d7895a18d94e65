"""How fast models train on one core: beside their peer, the Jukebox port inside transformers 4.57.6, and the limit.

A step is forward, loss, backward and PyTorch's AdamW, for both sides the same, in float32, in fresh processes that
alternate; rates are per CPU-second of one thread, memory is the peak of the process. The limit is three times the
operations of a forward pass (the gradient of each product is two) over the rate at which one core multiplies large
float32 matrices, measured in the same run. The prior is MINI of bench/prior.py, two windows of 2048; the VQ-VAE has the
released shape and losses, two windows of 65 536 samples.

    python bench/train.py                    # about six minutes
    python bench/train.py --rounds 1         # about two
    python bench/train.py --gpu              # ours on a GPU in bfloat16, with the share of --peak TFLOP/s
"""

import argparse
import json
import statistics
import time

import prior as prior_bench
import vqvae as vqvae_bench
from vqvae import matrix_rate, peak_gib

WINDOWS, SAMPLES = 2, 65_536
UNITS = {"prior": WINDOWS * prior_bench.SHAPES["MINI"][3], "vqvae": WINDOWS * SAMPLES}
ASKED = {"prior": 1.35, "vqvae": 1.5}


def operations(work: str) -> float:
    """Floating-point operations of a step for one token or one sample: products alone."""
    if work == "prior":
        return 3 * prior_bench.operations_per_token("MINI")
    tasks = ["encode", "decode_0", "decode_1", "decode_2"]
    return 3 * sum(vqvae_bench.operations_per_second(task) for task in tasks) / 44_100


def ours(work: str):
    """Our model and its loss."""
    import torch

    from jukebox.training.allocator import keep_memory

    keep_memory()
    if work == "prior":
        from jukebox.prior.conditions import Conditions

        model, codes = prior_bench.random_prior("MINI")
        return model.train(), lambda: model(codes[:WINDOWS], Conditions()).losses.total
    from jukebox.training.shared_codebook import learn
    from jukebox.training.workers import ALONE
    from jukebox.vqvae.losses import Bandwidth

    model, sound = vqvae_bench._model_and_sound(4)
    audio, random = sound[:, : WINDOWS * SAMPLES].reshape(WINDOWS, 1, SAMPLES), torch.Generator().manual_seed(0)
    bandwidth = Bandwidth(l1=0.08, l2=0.01, spectral=100.0)

    def loss():
        output = model(audio, bandwidth)
        for level, found in enumerate(output.levels):
            rows, codes = found.latents.detach().flatten(0, 1), found.codes.flatten()
            learn(model.codebooks[level], rows, codes, model.config.codebook, random, ALONE)
        return output.loss

    return model.train(), loss


def peer(work: str):
    """The peer's model and its loss; the VQ-VAE's losses, which the port lacks, are ours."""
    import torch

    if work == "prior":
        task = prior_bench.peer("MINI", WINDOWS)
        model = next(c.cell_contents for c in task.__closure__ if isinstance(c.cell_contents, torch.nn.Module))
        codes = prior_bench.random_prior("MINI")[1][:WINDOWS]
        return model.train(), lambda: model(codes)[0]
    from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxVQVAEConfig
    from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxVQVAE

    from jukebox.checkpoints import huggingface, names
    from jukebox.config import LossConfig
    from jukebox.vqvae.losses import Bandwidth, multispectral_loss, waveform_loss

    mine, sound = vqvae_bench._model_and_sound(4)
    model = JukeboxVQVAE(JukeboxVQVAEConfig())
    tensors = names.to_theirs(mine.state_dict(), huggingface.name_table(mine.config))
    model.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()})
    for block in model.bottleneck.level_blocks:
        block.init = True
        block.codebook_sum, block.codebook_elem = block.codebook.clone(), torch.ones(len(block.codebook))
    audio = sound[:, : WINDOWS * SAMPLES].reshape(WINDOWS, 1, SAMPLES)
    config, bandwidth = LossConfig(), Bandwidth(l1=0.08, l2=0.01, spectral=100.0)

    def loss():
        latents = [encoder(audio)[-1] for encoder in model.encoders]
        _, quantised, commits, _ = model.bottleneck(latents)
        total = config.commit * sum(commits)
        for level, (decoder, vectors) in enumerate(zip(model.decoders, quantised, strict=True)):
            sound_again = decoder([vectors], all_levels=False)
            assert sound_again.shape == audio.shape, level
            total = total + waveform_loss(audio, sound_again, config, bandwidth)
            total = total + multispectral_loss(audio, sound_again, config, bandwidth)
        return total

    return model.train(), loss


def worker(arguments: argparse.Namespace) -> dict[str, float]:
    """One process: units per CPU-second, and the peak of its memory."""
    import torch

    torch.set_num_threads(1)
    model, loss = (ours if arguments.worker == "ours" else peer)(arguments.work)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    spent = []
    for _ in range(arguments.steps + 1):
        start = time.process_time()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        spent.append(time.process_time() - start)
    return {"rate": UNITS[arguments.work] / statistics.median(spent[1:]), "peak_gb": peak_gib() * 2**30 / 1e9}


def measure(side: str, work: str, steps: int) -> dict[str, float]:
    """The numbers of a fresh process."""
    return prior_bench.run("--worker", side, "--work", work, "--steps", str(steps), file=__file__)


def gpu(peak_tflops: float) -> dict[str, float]:
    """Our small_prior shape on a GPU: tokens per second, and the share of the card's peak."""
    import torch

    from jukebox.prior.conditions import Conditions
    from jukebox.prior.initialise import new_prior

    config = prior_bench.config_of("MID")
    model = new_prior(config, torch.Generator("cuda").manual_seed(0)).train()
    codes = torch.randint(0, prior_bench.CODES, (8, config.codes_context), device="cuda")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    start_s = 0.0
    for step in range(13):
        if step == 3:
            torch.cuda.synchronize()
            start_s = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(codes, Conditions()).losses.total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    torch.cuda.synchronize()
    rate = 10 * codes.numel() / (time.perf_counter() - start_s)
    share = rate * 3 * prior_bench.operations_per_token("MID") / (peak_tflops * 1e12)
    print(f"{torch.cuda.get_device_name()}: {rate:.0f} tokens/s, {share:.0%} of {peak_tflops:.0f} TFLOP/s")
    return {"tokens_per_s": rate, "share_of_peak": share}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--peak", type=float, default=990.0, help="TFLOP/s of the card in bfloat16 (H100: 990)")
    parser.add_argument("--worker", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=tuple(UNITS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(arguments)))
        return
    if arguments.gpu:
        print(json.dumps(gpu(arguments.peak)))
        return
    matrix = matrix_rate()
    print(f"one core multiplies large float32 matrices at {matrix / 1e9:.0f} GFLOP/s")
    print("| training | peer | ours | ratio (asked) | limit | share of it | peak, peer | peak, ours (asked: 60 %) |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for work in UNITS:
        runs: dict[str, list[dict[str, float]]] = {"peer": [], "ours": []}
        for _ in range(arguments.rounds):
            for side, found in runs.items():
                found.append(measure(side, work, arguments.steps))
        theirs, mine = (statistics.median(run["rate"] for run in runs[side]) for side in ("peer", "ours"))
        peaks = [max(run["peak_gb"] for run in runs[side]) for side in ("peer", "ours")]
        limit = matrix / operations(work)
        unit = "tokens/s" if work == "prior" else "samples/s"
        print(
            f"| {work}, {unit} | {theirs:.0f} | {mine:.0f} | {mine / theirs:.2f} ({ASKED[work]}) | {limit:.0f} | "
            f"{mine / limit:.0%} | {peaks[0]:.2f} GB | {peaks[1]:.2f} GB ({peaks[1] / peaks[0]:.0%}) |",
            flush=True,
        )
        rows.append({"work": work, "peer": theirs, "ours": mine, "limit": limit, "peaks_gb": peaks})
    print(json.dumps({"matrix_gflops": matrix / 1e9, "rows": rows}))


if __name__ == "__main__":
    main()
