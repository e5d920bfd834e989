"""A GPU that the driver reports and onnxruntime can't use: a driver of two functions stands in for a real one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.checkup.packages import installed
from resources.unmaskers import shipped

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
"""
OPEN = """
import sys
from resources.onnx_sessions import open_session
print(open_session(sys.argv[1], sys.argv[2]).get_providers())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a driver with")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(folder / "driver.c")]
    subprocess.run(command, check=True)
    return os.environ | {"LD_LIBRARY_PATH": str(folder)}


def call(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, *words]
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_who_asks_for_it_is_told_what_is_missing(environment):
    done = call(environment, "-c", OPEN, str(shipped()[0]), "cuda")
    assert done.returncode == 1 and not done.stdout
    assert "DeviceUnavailable: onnxruntime can't use the GPU:" in done.stderr
    assert installed("nvidia-curand") or "libcurand.so.10" in done.stderr.splitlines()[-1]


def test_who_lets_it_choose_gets_the_cpu_and_a_warning(environment):
    done = call(environment, "-c", OPEN, str(shipped()[0]), "auto")
    assert done.stdout == "['CPUExecutionProvider']\n"
    assert done.stderr.splitlines()[-1].endswith("networks run on the CPU")


def test_doctor_finds_it(environment, tmp_path):
    done = call(environment, "-m", "apps.cli", "doctor", "--project", str(tmp_path), "--json")
    (found,) = [each for each in json.loads(done.stdout)["findings"] if each["name"] == "GPU in onnxruntime"]
    assert found["state"] == "wrong" and "onnxruntime can't use the GPU" in found["found"]
    assert "[gpu]" in found["remedy"]
