"""cof-mini from scratch: a Qwen2.5-VL of a million parameters, pre-trained in the synthetic world of `cof_eval.benchmarks.synthetic`."""
