"""The entry point by which lmms-eval finds the model `cof`; light, because lmms-eval loads it on every start."""

from lmms_eval.models.registry_v2 import ModelManifest

MANIFEST = ModelManifest(model_id="cof", chat_class_path="cof_eval.lmms.model.Cof")
