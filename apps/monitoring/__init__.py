"""What those who run an installation watch: counts, processes, health.

Counts and processes are documents, so every process can tell of all of them, and none that dies
leaves anything behind: what a process counts it writes itself, at most a second later.

- `counters` adds up attempts: per destination and hour for people, per type for Prometheus;
- `processes` notes what each process does, and writes it every few seconds;
- `health` says of each part whether it works, in words;
- `exposition` writes what is measured in the form that Prometheus reads.
"""
