"""What pyproject.toml cannot say: the page lies beside the package, and goes into it."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PAGE = "client_web"


class BuildWithPage(build_py):
    """Copies the page to stream/client_web; a checkout (editable) uses it where it is."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_tree(PAGE, str(Path(self.build_lib, "stream", PAGE)))


setup(cmdclass={"build_py": BuildWithPage})
