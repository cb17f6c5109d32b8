"""What an evaluation with an engine on this machine imports, for a process that starts several: import this module to have it all.

A process that is forked afterwards has these packages at once. Each of them would otherwise cost seconds a run.
"""

from __future__ import annotations

import torch
import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl
import transformers.models.qwen2_5_vl.processing_qwen2_5_vl

from ..core.lazy_imports import LMMS_EVAL, imported_later

with imported_later(LMMS_EVAL):
    import lmms_eval.evaluator
    import lmms_eval.tasks

from . import launch, model, task

__all__ = ["launch", "lmms_eval", "model", "task", "torch", "transformers"]
