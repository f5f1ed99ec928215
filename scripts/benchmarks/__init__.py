"""The parts of scripts/benchmark. What it imports itself never loads torch; what trains is a process each."""
