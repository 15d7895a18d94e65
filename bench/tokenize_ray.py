"""Tokenising on a Ray cluster of two workers, one of which is killed half-way: nothing is lost or doubled.

A local cluster: a head without cores and two nodes of one core each (on two cores, the reader shares one of them). When
half of the songs are done, one node is killed. The shards are compared, byte for byte, with those of one process.

    pip install 'jukebox[ray]'
    python bench/tokenize_ray.py [--songs 16] [--seconds 40]
"""

import argparse
import json
import logging
import os
import tempfile
import time
from pathlib import Path

import torch

# The cluster's processes work on one thread each; Ray reports nothing to its makers.
os.environ |= {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    import ray
    from ray.cluster_utils import Cluster

    from jukebox.audio.io import Tags, write
    from jukebox.data.cluster import done_on_cluster
    from jukebox.data.prepare import PrepareConfig, prepare
    from jukebox.data.tokenize import TokenizeConfig, tokenize

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "music").mkdir()
        for k in range(arguments.songs):
            sound = 0.1 * torch.randn(1, int(44_100 * arguments.seconds), generator=torch.Generator().manual_seed(k))
            write(folder / "music" / f"{k:03d}.flac", sound, 44_100, Tags(artist=f"artist {k % 3}", genre="noise"))
        dataset = prepare(folder / "music", folder / "dataset", PrepareConfig()).dataset
        config = TokenizeConfig(model="tiny", shard_s=4 * arguments.seconds)
        begun = time.monotonic()
        tokenize(dataset, folder / "alone", config)
        alone_s = time.monotonic() - begun

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        done: list[str] = []
        killed_after = None

        def run(function, tasks):
            nonlocal killed_after
            for task, codes in done_on_cluster(function, tasks, cluster.address):
                done.append(task.song.key)
                yield task, codes
                if killed_after is None and len(done) >= arguments.songs // 2:
                    killed_after = len(done)
                    cluster.remove_node(nodes[0], allow_graceful=False)

        begun = time.monotonic()
        tokens = tokenize(dataset, folder / "cluster", config, run=run)
        cluster_s = time.monotonic() - begun
        ray.shutdown()
        cluster.shutdown()

        def contents(name: str) -> dict[str, bytes]:
            files = (path for path in (folder / name).rglob("*") if path.is_file())
            return {path.relative_to(folder / name).as_posix(): path.read_bytes() for path in files}

        assert killed_after is not None
        assert sorted(done) == [song.key for song in dataset.songs], "a song was lost or came twice"
        assert contents("cluster") == contents("alone"), "the bytes differ"
        result = {
            "songs": len(tokens.songs),
            "shards": len(tokens.shards),
            "node_killed_after_songs": killed_after,
            "lost": 0,
            "doubled": 0,
            "same_bytes_as_one_process": True,
            "one_process_s": round(alone_s, 1),
            "cluster_s": round(cluster_s, 1),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
