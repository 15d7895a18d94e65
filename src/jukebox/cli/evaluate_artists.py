"""`jukebox evaluate artists`: a classifier that learnt from recordings listens to generated songs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox.cli.progress import progress
from jukebox.cli.recording import load_model
from jukebox.cli.results import parts_of, write_results

if TYPE_CHECKING:
    from jukebox.data.collection import Song, Split


def recognise(arguments: argparse.Namespace) -> None:
    """Learn names from a dataset's training songs, and listen to its others and to generated songs.

    Given a model, the training songs are learnt as they come out of each of its levels too: what a VQ-VAE leaves out
    would else be taken for a singer.
    """
    from jukebox.data.dataset import Dataset
    from jukebox.evaluation.collections import Choice, Embedded, embed_dataset, embed_files, embed_reconstructions
    from jukebox.evaluation.distribution import EMBEDDING, stack
    from jukebox.evaluation.recognition import learn

    dataset = Dataset.open(arguments.data)
    wanted = _generated(arguments.songs, arguments.by)
    names = {song.key: _name(song, arguments.by) for song in dataset.songs}
    model = None if arguments.model is None else load_model(arguments)
    parts = parts_of(arguments, model)

    def clips(split: "Split") -> dict[str, Embedded]:
        """The recordings of a split, and as they come out of each level of the model."""
        choice = Choice(most=arguments.clips, seed=arguments.seed, split=split)
        found = {"recordings": embed_dataset(dataset, choice, progress, parts.within(split))}
        if model is not None:
            through = embed_reconstructions(model, dataset, choice, progress, parts.within(f"{split} reconstructed"))
            found |= {f"recordings, {level}": embedded for level, embedded in through.items()}
        return found

    learnt = list(clips("train").values())
    embeddings = [clip for each in learnt for clip in each.embeddings]
    recogniser = learn(stack(embeddings), [names[key] for each in learnt for key in each.songs])
    rows: dict[str, dict[str, Any]] = {}

    def listen(name: str, embeddings: Any, truth: list[str]) -> None:
        known = [index for index, label in enumerate(truth) if label in recogniser.names]
        share = recogniser.share(stack([embeddings[index] for index in known]), [truth[index] for index in known])
        rows[name] = {"clips": len(known), "right": share, "times_chance": share * len(recogniser.names)}

    for name, held_out in clips("validation").items():
        listen(name, held_out.embeddings, [names[key] for key in held_out.songs])
    if wanted:
        found = embed_files(list(wanted), dataset.sample_rate, progress, parts=parts.within("generated"))
        listen("generated songs", found.embeddings, [wanted[Path(path)] for path in found.songs])
    print(f"{'clips of 5 s from':<28}  clips   right  times chance")
    for name, row in rows.items():
        print(f"{name:<28}  {row['clips']:5d}  {row['right']:6.1%}  {row['times_chance']:12.2f}")
    print(f"{len(recogniser.names)} names ({arguments.by}) learnt from {len(embeddings)} other clips.")
    print(f"Embedding: {EMBEDDING}.")
    write_results(arguments, {"by": arguments.by, "names": list(recogniser.names), "rows": rows})
    parts.remove()


def _name(song: "Song", by: str) -> str:
    return song.artist if by == "artist" else song.genre


def _generated(folders: list[Path], by: str) -> dict[Path, str]:
    """The sound files of sessions, and the artist or genre that each was asked to have."""
    from jukebox.sampling.request import SongRequest
    from jukebox.song import sound_of

    found: dict[Path, str] = {}
    for folder in folders:
        request = SongRequest.read(folder / "request.yaml")
        for song, _, name in request.item_names():
            path, label = sound_of(folder, name), getattr(request.songs[song], by)
            if label:
                found[path] = label
    return found
