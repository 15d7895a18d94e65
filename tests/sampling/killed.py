"""`python -m tests.sampling.killed KILLS SEED WORDS...`: a `jukebox` command that is killed again and again.

The command runs in a child that is forked after everything is imported, and gets a SIGKILL at a random moment; then it
is begun again, also where it had ended before: how far it comes between two kills is the machine's affair. After KILLS
kills it may end. The last line is the number of kills and its exit status.
"""

import os
import random
import signal
import sys
import time

import jukebox.cli.main
import jukebox.pipeline


def main() -> None:
    kills, moments, words = int(sys.argv[1]), random.Random(int(sys.argv[2])), sys.argv[3:]
    done = 0
    while True:
        child = os.fork()
        if child == 0:
            os._exit(jukebox.cli.main.main(words))
        if done < kills:
            time.sleep(moments.uniform(0.0, 0.5))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            done += 1
        elif done == kills or status:
            print(done, os.waitstatus_to_exitcode(status))
            return


if __name__ == "__main__":
    main()
