"""What the processes that are to be killed have loaded already: they are forked from one that imported this."""

import logging
import os
import warnings
from importlib import import_module

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "false"}
warnings.filterwarnings("ignore")

for name in (
    *("ai_edge_litert.interpreter", "av", "cv2", "dlib", "numba", "onnxruntime", "pandas", "scipy.optimize", "skimage"),
    *("pyarrow.compute", "pyarrow.parquet", "mlflow.system_metrics.system_metrics_monitor"),
    *("torch", "ultralytics.models.yolo.detect", "ops.training.export", "ops.training.plots"),
    *("orchestration.materialize", "resources.detectors", "resources.tracking"),
):
    module = import_module(name)
    if name in {"cv2", "torch"}:
        (module.setNumThreads if name == "cv2" else module.set_num_threads)(1)

for name in ("alembic", "mlflow"):
    logging.getLogger(name).setLevel(logging.ERROR)
