"""Main of a model's process: `python -m athanor.engines.worker PARENT_PID`.

Frames come in on the original stdin and go out on the original stdout. Both are moved to other descriptors first:
a native library that prints to stdout must not be able to corrupt the protocol. The process ends when its input
does, so it cannot outlive the server.

In: `load` {target, settings, memory_mb}, requests {id, op, …}, `cancel` {id}, `ping`, end of file.
Out: `ready` {facts} or `failed` {message}, then `event`/`done`/`error` {id, …}, `pong` {stalled}, `fatal` {message}.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
from importlib import import_module
from typing import Any, NoReturn

from athanor.engines.backend import Backend
from athanor.engines.frames import Decoder, Frame, encode
from athanor.errors import AthanorError

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent dies. Linux only; elsewhere the end of input does it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def limit_memory(megabytes: int | None) -> None:
    """Cap private writable memory; mapped model files do not count. Not enforced by macOS."""
    if megabytes:
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))


class Worker:
    """Reads frames, owns the backend, writes frames."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()
        self._backend: Backend | None = None

    def serve(self) -> NoReturn:
        """Handle frames until the input ends; never returns."""
        decoder = Decoder()
        while data := os.read(self._source, 1 << 16):
            for frame in decoder.feed(data):
                self._handle(frame)
        # No interpreter or library shutdown: destructors of native pipelines crash with work in flight.
        os._exit(0)

    def send(self, header: dict[str, Any], blob: bytes = b"") -> None:
        """Write a frame; block while the pipe is full. A vanished server ends the process."""
        view = memoryview(encode(header, blob))
        try:
            with self._lock:
                while view:
                    view = view[os.write(self._sink, view) :]
        except OSError:
            os._exit(0)

    def emit(self, request_id: int, op: str, blob: bytes = b"", **fields: Any) -> None:
        self.send({"id": request_id, "op": op, **fields}, blob)

    def _handle(self, frame: Frame) -> None:
        header = frame.header
        op = header.get("op")
        if op == "load":
            # In a thread of its own: the end of input must end even a load that takes minutes.
            threading.Thread(target=self._load, args=(header,), name="load", daemon=True).start()
        elif op == "ping":
            self.send({"op": "pong", "stalled": self._backend.stalled() if self._backend else 0.0})
        elif self._backend is None:
            return
        elif op == "cancel":
            self._backend.cancel(int(header["id"]))
        else:
            self._backend.submit(frame)

    def _load(self, header: dict[str, Any]) -> None:
        try:
            limit_memory(header.get("memory_mb"))
            module, _, name = str(header["target"]).partition(":")
            backend: Backend = getattr(import_module(module), name)()
            facts = backend.load(header["settings"], self.emit)
        except AthanorError as error:
            extra = getattr(error, "extra", None)
            self.send({"op": "failed", "message": error.message, "hint": error.hint, "extra": extra})
        except MemoryError:
            self.send({"op": "failed", "message": "Not enough memory to load the model."})
        except Exception as error:
            self.send({"op": "failed", "message": _one_line(error)})
        else:
            self._backend = backend
            self.send({"op": "ready", "facts": dict(facts)})

    def fatal(self, message: str) -> NoReturn:
        """Say why and end; for an error that leaves the native model in an unknown state."""
        self.send({"op": "fatal", "message": message})
        os._exit(70)


def _one_line(error: BaseException, limit: int = 600) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 :]}"


def main() -> NoReturn:
    """Move the pipes to safety, then serve."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    die_with(int(sys.argv[1]))
    worker = Worker(source, sink)

    def on_thread_error(args: threading.ExceptHookArgs) -> None:
        worker.fatal(_one_line(args.exc_value or RuntimeError(args.exc_type.__name__)))

    threading.excepthook = on_thread_error
    try:
        worker.serve()
    except Exception as error:
        worker.fatal(_one_line(error))


if __name__ == "__main__":
    main()
