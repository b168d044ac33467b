"""Backends that misbehave, each in its own way. They run in the child."""

from __future__ import annotations

import os
import signal
import threading
import time

from athanor.plugins import require


class Base:
    def load(self, settings, emit):
        self.emit = emit
        return {}

    def submit(self, request):
        self.emit(request.header["id"], "done")

    def cancel(self, request_id):
        pass

    def stalled(self):
        return 0.0


class Babbler(Base):
    def submit(self, request):
        os.write(self.emit.__self__._sink, b"this is no frame at all")


class Forgetful(Base):
    def submit(self, request):
        self.emit.__self__.send({"op": "event"})


class Printer(Base):
    def load(self, settings, emit):
        print("loading", flush=True)
        os.write(1, b"printf from a library\n" * 10_000)
        return super().load(settings, emit)

    def submit(self, request):
        os.write(1, b"no line break " * 100_000)
        super().submit(request)


class Thrower(Base):
    def submit(self, request):
        def fail():
            raise RuntimeError("the valve is stuck")

        threading.Thread(target=fail).start()


class Mirror(Base):
    def submit(self, request):
        self.emit(request.header["id"], "done", blob=request.blob)


class Sleeper(Base):
    def load(self, settings, emit):
        time.sleep(600)


class Suicide(Base):
    def load(self, settings, emit):
        os.kill(os.getpid(), signal.SIGSEGV)
        signal.pause()  # another thread may take the signal a moment later


class Extra(Base):
    def load(self, settings, emit):
        require("a_package_that_does_not_exist", extra="llamacpp")


class Glutton(Base):
    def load(self, settings, emit):
        self.held = bytearray(1 << 30)
