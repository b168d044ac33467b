"""The console in the browser: chat with citations, knowledge, models. Over the same services as the API.

The browser's half is NiceGUI, which is imported when the console is mounted and nowhere outside this package.
"""

from athanor.console.mount import mounted

__all__ = ["mounted"]
