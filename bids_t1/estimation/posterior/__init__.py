"""The posterior of T1 from two or three readouts. Read `posterior` first."""
