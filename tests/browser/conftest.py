"""Real JupyterLab in headless Chromium: one server and one browser for the whole run, a page per
test."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

CHROMIUM = (
    os.environ.get("LLM_MAGICS_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
)
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
# The toolbar says "idle" before there is a kernel, so readiness is asked of the session context.
READY = """async () => {
  const app = window.jupyterapp; await app.restored;
  const panel = app.shell.currentWidget; await panel.context.ready; await panel.revealed;
  const context = panel.sessionContext; await context.ready;
  for (let i = 0; i < 1200 && !(context.session && context.session.kernel); i++) await new Promise(r => setTimeout(r, 50));
  await context.session.kernel.info;
}"""
EVALUATE = """async ([expression, code]) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({code, silent: true, store_history: false, allow_stdin: false,
                                        user_expressions: {r: expression}});
  const reply = await future.done; const r = reply.content.user_expressions && reply.content.user_expressions.r;
  if (!r || r.status !== 'ok') throw new Error(JSON.stringify(reply.content));
  return r.data['text/plain'];
}"""


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address and the folder of a running JupyterLab with a home of its own."""
    with running_lab(
        tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("notebooks")
    ) as started:
        yield started


@contextlib.contextmanager
def running_lab(home: Path, root: Path):
    """JupyterLab on the notebooks in `root`, with all it keeps in `home`: {"url", "root"} while the
    block runs."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")
    }
    environment.update(
        HOME=str(home),
        JUPYTER_CONFIG_DIR=str(home / "config"),
        JUPYTER_DATA_DIR=str(home / "data"),
        JUPYTER_RUNTIME_DIR=str(home / "runtime"),
        IPYTHONDIR=str(home / "ipython"),
        LLM_MAGICS_HOME=str(home / "llm_magics"),
        HF_HUB_OFFLINE="1",
        OMP_WAIT_POLICY="passive",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    for name, value in SETTINGS.items():
        file = home / "config" / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--allow-root",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        f"--ServerApp.root_dir={root}",
        "--ServerApp.disable_check_xsrf=True",
        "--LabApp.expose_app_in_browser=True",
    ]
    log = home / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process, log)
        yield {"url": url, "root": root}
    finally:
        _stop(url, process)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{url}/api/status", timeout=2).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"JupyterLab did not start:\n{log.read_text()[-3000:]}"
                ) from None
            time.sleep(0.2)


def _stop(url: str, process: subprocess.Popen) -> None:
    with contextlib.suppress(Exception):
        kernels = json.loads(urllib.request.urlopen(f"{url}/api/kernels", timeout=5).read())
        for kernel in kernels:
            request = urllib.request.Request(f"{url}/api/kernels/{kernel['id']}", method="DELETE")
            urllib.request.urlopen(request, timeout=10).close()
    process.send_signal(signal.SIGINT)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def chromium():
    """A running browser; the tests that need one are skipped where there is none."""
    if not CHROMIUM:
        pytest.skip("no chromium: install Debian's chromium, or name one in LLM_MAGICS_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Notebook:
    """A notebook open in a page."""

    def __init__(self, page, lab: dict, name: str) -> None:
        self.page, self.lab, self.name = page, lab, name

    def open(self) -> None:
        """Load the page and wait for its kernel."""
        self.page.goto(
            f"{self.lab['url']}/doc/tree/{self.name}?reset", wait_until="domcontentloaded"
        )
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell")
        self.page.evaluate(READY)

    def command(self, name: str, wait: bool = True) -> None:
        """Run one of JupyterLab's commands."""
        self.page.evaluate(
            "([name, wait]) => { const r = window.jupyterapp.commands.execute(name); "
            "if (wait) return r.then(() => true); }",
            [name, wait],
        )

    def run_all(self, wait: bool = True) -> None:
        self.command("notebook:run-all-cells", wait)

    def python(self, expression: str, code: str = ""):
        """The value of a Python expression in the page's kernel."""
        return ast.literal_eval(self.page.evaluate(EVALUATE, [expression, code]))


@pytest.fixture
def notebook(lab, chromium, request, tmp_path):
    """A function that opens a notebook of these cells (or a file) in a new page, and checks the
    page for errors."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    outside: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda sent: (
            outside.append(sent.url)
            if not sent.url.startswith(
                (lab["url"], lab["url"].replace("http", "ws"), "data:", "blob:")
            )
            else None
        ),
    )

    def make(cells: list[str] | Path) -> Notebook:
        name = f"{request.node.name}.ipynb"
        if isinstance(cells, Path):
            (lab["root"] / name).write_bytes(cells.read_bytes())
        else:
            made = nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
            )
            made.metadata["kernelspec"] = {
                "name": "python3",
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
            }
            nbformat.write(made, lab["root"] / name)
        opened = Notebook(page, lab, name)
        opened.open()
        return opened

    yield make
    folder = os.environ.get("LLM_MAGICS_SCREENSHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{request.node.name}.png", full_page=True)
    with contextlib.suppress(Exception):
        page.evaluate("() => window.jupyterapp.commands.execute('kernelmenu:shutdown')")
    context.close()
    assert not errors, errors
    assert not outside, f"the page asked for {outside}"
