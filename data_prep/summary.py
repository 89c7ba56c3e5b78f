"""What a preparation made, by split and class."""

import collections

from data_prep.build import RecordBuilder

MAX_ROWS = 12
"""Classes shown of each kind, the most frequent ones."""


def print_summary(builder: RecordBuilder) -> None:
    """Prints the counts of a builder that has just prepared its dataset, and every record it left out."""
    tallies = builder.tallies
    for line in builder.info.metadata.get("said", ()):
        print(line)
    print(f"{builder.name}/{builder.variant} {builder.version} in {builder.data_path}")
    rows: list[tuple[str, list]] = [
        ("", list(tallies)),
        ("records", [tally.num_records for tally in tallies.values()]),
        ("patients", [tally.num_patients for tally in tallies.values()]),
    ]
    for name in _class_names(builder):
        rows.append((name, [tally.classes[name] for tally in tallies.values()]))
    for name, cells in rows:
        print(f"  {name:24}" + "".join(f"{cell:>12}" for cell in cells))
    clipped = sum(tally.num_clipped for tally in tallies.values())
    if clipped:
        print(f"  {clipped} samples lie beyond +-32.767 mV and were clipped")
    num_bad = sum(tally.num_bad for tally in tallies.values())
    if num_bad:
        print(f"  skipped {num_bad} records:")
        named = [record for tally in tallies.values() for _, record in tally.bad]
        for record in named:
            print(f"    {record.name}: {record.problem}")
        if num_bad > len(named):
            print(f"    and {num_bad - len(named)} more")


def _class_names(builder: RecordBuilder) -> list[str]:
    """The most frequent classes of each kind; the kind is the first word of a class."""
    total = sum((tally.classes for tally in builder.tallies.values()), collections.Counter())
    kinds: dict[str, list[str]] = {}
    for name in sorted(total, key=lambda name: (-total[name], name)):
        kinds.setdefault(name.split()[0], []).append(name)
    return [name for kind in sorted(kinds, key=lambda kind: len(kinds[kind])) for name in kinds[kind][:MAX_ROWS]]
