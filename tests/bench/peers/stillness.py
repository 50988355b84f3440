"""Measurements that nothing else disturbed: what other processes took of the processors meanwhile, and retries.

It matters more for some than for others: OpenMP's threads spin at barriers, so that one more busy process can make a
PyTorch step many times slower. A disturbed sample says nothing about anybody and is thrown away.
"""

import os
import resource
import time
from pathlib import Path

MOST_FOREIGN = 0.05  # of the processors' time, by others
GRANULARITY_S = 0.03  # the kernel counts in ticks
PROBE_S = 1.0
PAUSE_S = 5.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def busy_s(processors):
    """Seconds that these processors were not idle since boot; time stolen by the hypervisor counts as busy."""
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        fields = line.split()
        if fields[0].startswith("cpu") and fields[0] != "cpu" and int(fields[0][3:]) in processors:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
            total += user + nice + system + irq + softirq + steal
    return total / TICKS_PER_S


def process_s(pid):
    """Processor seconds of a living process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S


class Stillness:
    """`pids` are of the living contenders; ended children of this process are contenders, too."""

    def __init__(self, pids, patience_s, note):
        self.processors, self.pids = os.sched_getaffinity(0), list(pids)
        self.patience_s, self.note, self.discarded = patience_s, note, 0

    def own_s(self):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = resource.getrusage(resource.RUSAGE_SELF)
        direct = ended.ru_utime + ended.ru_stime + own.ru_utime + own.ru_stime
        return direct + sum(process_s(pid) for pid in self.pids)

    def watched(self, measure):
        """(result of `measure()`, share of the processors' time that others took meanwhile, whether that is little)."""
        start, busy, own = time.monotonic(), busy_s(self.processors), self.own_s()
        result = measure()
        elapsed = (time.monotonic() - start) * len(self.processors)
        foreign = (busy_s(self.processors) - busy) - (self.own_s() - own)
        return result, foreign / elapsed, foreign <= MOST_FOREIGN * elapsed + GRANULARITY_S

    def undisturbed(self, measure):
        """The result of `measure()`, begun on a still machine and repeated until nothing disturbed it."""
        deadline = time.monotonic() + self.patience_s
        while True:
            _, foreign, still = self.watched(lambda: time.sleep(PROBE_S))
            if still:
                result, foreign, still = self.watched(measure)
                if still:
                    return result
                self.discarded += 1
                self.note(f"  discarded: others took {100 * foreign:.0f} % of the processors meanwhile")
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"compare.py: others take {100 * foreign:.0f} % of the processors: stop what else runs, or raise "
                    "--patience-s"
                )
            time.sleep(PAUSE_S)
