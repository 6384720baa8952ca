# SPDX-License-Identifier: MIT
"""From the measurements to tables: medians, ratios, and what was the limit."""
import statistics


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def others(r):
    """Part of the machine that neither the server nor the generator used."""
    used = r["machine_cpu_s"] - r["own_cpu_s"] - r.get("server_cpu_s", 0)
    return max(0.0, used / (r["cpus"] * max(r["measured_s"], 1e-9)))


def threads(r):
    """The server's busiest: [(name, share on a CPU, share ready but without one)]."""
    found = []
    for word in filter(None, r.get("server_threads", "").split(", ")):
        name, numbers = word.rsplit(" ", 1)
        run, wait = map(float, numbers.split("/"))
        if run + wait > 0.01:
            found.append((name, run, wait))
    return found


def verdict(r, generator, disk, machine):
    found = threads(r) or [("server", 0, 0)]
    name, run, wait = found[0]
    # Who waits for the disk: in Lodge one thread, elsewhere taken to be the busiest.
    writer, *busy = next((t for t in found if t[0] == "lodge-write"), found[0])
    if machine > 0.9 and wait > 0.15:
        return "too few CPUs"
    if run + wait > 0.8:
        return f"server CPU (thread {name})"
    if generator > 0.7:
        return "the load generator's CPU"
    if disk > 0.5 or (disk > 0.25 and sum(busy) + disk > 0.75):
        return f"the disk, and thread {writer} that waits for it"
    return "too few CPUs" if machine > 0.9 else "round trips: each side waits for the other"


def limit(r):
    """One line: the bottleneck, and the shares of the time that it is derived from."""
    s = max(r["measured_s"], 1e-9)
    generator, disk = r["own_cpu_s"] / s, r["disk_busy_s"] / s
    machine = r["machine_cpu_s"] / (r["cpus"] * s)
    parts = [f"{name} {run:.0%}" + (f" (+{wait:.0%} waiting for a CPU)" if wait > 0.05 else "")
             for name, run, wait in threads(r)[:3]]
    parts += [f"load {generator:.0%}", f"disk {disk:.0%}",
              f"{r['disk_flushes'] / s:,.0f} flushes/s"]
    return (f"{verdict(r, generator, disk, machine)}: {', '.join(parts)}; "
            f"other programs {others(r):.0%} of the machine")


def wrong(r):
    """Deliveries that should not be, as text; empty: none."""
    keys = ("lost", "duplicated", "out_of_order", "strange", "unconfirmed")
    return ", ".join(f"{k} {r[k]:.0f}" for k in keys if r.get(k))


def si(v):
    if v is None:
        return "-"
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if v >= size:
            return f"{v / size:.3g} {unit}"
    return f"{v:.0f}"


def ms(us):
    return "-" if us is None else f"{us / 1000:.2f}"


def text(v, digits=2):
    return "-" if v is None else f"{v:.{digits}f}"


def table(head, rows):
    """Markdown, its columns aligned for a terminal."""
    rows = [[str(c) for c in row] for row in [head, *rows]]
    width = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, width)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in width) + "|")
    return "\n".join(lines)


class Results:
    """Every measurement of a run: dicts with section, server and round."""

    def __init__(self):
        self.all = []

    def add(self, section, server, round_, **figures):
        self.all.append({"section": section, "server": server, "round": round_, **figures})
        return self.all[-1]

    def any(self, section):
        return any(r["section"] == section for r in self.all)

    def of(self, section, server):
        return [r for r in self.all if r["section"] == section and r["server"] == server
                and "failed" not in r]

    def median(self, section, server, figure):
        """figure: a key, or a function of a measurement."""
        get = figure if callable(figure) else lambda r: r.get(figure)
        return median([get(r) for r in self.of(section, server)])

    def ratio(self, section, server, key, base):
        """Median over the rounds of base / server: drift of the machine cancels out."""
        theirs = {r["round"]: r for r in self.of(section, server)}
        return median([r[key] / theirs[r["round"]][key] for r in self.of(section, base)
                       if theirs.get(r["round"], {}).get(key)])

    def middle(self, section, server, key):
        """The measurement whose `key` is the (lower) median."""
        runs = sorted((r for r in self.of(section, server) if key in r), key=lambda r: r[key])
        return runs[(len(runs) - 1) // 2] if runs else None


def per_message_us(cpu_key):
    def get(r):
        n = r.get("received") or r.get("confirmed")
        return r[cpu_key] * 1e6 / n if n and cpu_key in r else None
    return get


def written_per_byte(r):
    body = r.get("confirmed", 0) * r["size"]
    return r["disk_written"] / body if body and "disk_written" in r else None


def rate_table(results, section, key, servers):
    """servers: ours first, which the others are compared with."""
    ours = servers[0].name
    latency = "end_to_end" if key == "receive_rate" else "confirm"
    head = ["server", "msg/s", f"{ours} is", "p50 ms", "p99 ms", "server CPU us/msg",
            "load CPU us/msg", "written/body"]
    rows, notes = [], []
    for s in servers:
        r = results.middle(section, s.name, key)
        if not r:
            failed = [x["failed"] for x in results.all
                      if x["section"] == section and x["server"] == s.name and "failed" in x]
            notes += [f"  {s.name} FAILED: {why}" for why in failed[:1]]
            continue
        ratio = results.ratio(section, s.name, key, ours)
        rows.append([s.name, si(results.median(section, s.name, key)),
                     "" if s.name == ours or ratio is None else f"{ratio:.2f} x",
                     ms(results.median(section, s.name, f"{latency}_p50_us")),
                     ms(results.median(section, s.name, f"{latency}_p99_us")),
                     text(results.median(section, s.name, per_message_us("server_cpu_s"))),
                     text(results.median(section, s.name, per_message_us("own_cpu_s"))),
                     text(results.median(section, s.name, written_per_byte))])
        notes.append(f"  {s.name}: {limit(r)}")
        bad = [wrong(x) for x in results.of(section, s.name) if wrong(x)]
        notes += [f"  {s.name} WRONG: {b}" for b in bad]
    return "\n".join([table(head, rows), "", "Limited by", *notes])


def latency_table(results, section, servers):
    rows, notes = [], []
    for s in servers:
        r = (results.of(section, s.name) or [None])[0]
        if not r:
            notes.append(f"  {s.name} FAILED")
            continue
        rows.append([s.name, *(ms(r.get(f"end_to_end_{p}_us")) for p in ("p50", "p99", "p999")),
                     *(ms(r.get(f"confirm_{p}_us")) for p in ("p50", "p99", "p999")),
                     text(per_message_us("server_cpu_s")(r))])
        notes.append(f"  {s.name}: {'WRONG: ' + wrong(r) + '; ' if wrong(r) else ''}{limit(r)}")
    head = ["server", "delivered p50 ms", "p99", "p999", "confirmed p50 ms", "p99", "p999",
            "server CPU us/msg"]
    return "\n".join([table(head, rows), "", "Limited by", *notes])
