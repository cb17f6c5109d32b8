"""A synthetic world for visual search: small plates, each with a dot, scattered over a cluttered ground.

`world` says what a scene is and paints it at any size, `questions` draws scenes from a seed and asks about them in balance;
`benchmarks.vstar_mini` writes both as a benchmark. The plate's colour says which object is meant, its dot's colour is what must be seen: the first is visible when
an object covers a few pixels, the second is not.
"""
