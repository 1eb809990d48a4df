"""Records one camera or session when it is asked to."""

from pathlib import Path

from stream.egress.recording import Recording, Written
from stream.errors import InputError
from stream.session import Session

OF_SESSIONS = "_sessions"
"""Folder of the recordings of sessions, beside those of cameras, whose names begin otherwise."""


class Recorder:
    """folder: for the files; None: the operator has named none. all_of: see Recording."""

    def __init__(self, session: Session, folder: Path | None, all_of: Path | None = None) -> None:
        self._session = session
        self._folder = folder
        self._all_of = all_of
        self._recording: Recording | None = None

    @property
    def is_possible(self) -> bool:
        return self._folder is not None

    def start(self) -> Written | None:
        """Begin, and return what is written; None: it runs already. Raises InputError, Busy."""
        if self._recording is not None:
            return None
        if self._folder is None:
            raise InputError("recording is off; start the server with --record FOLDER")
        self._recording = Recording(self._session, self._folder, self._all_of)
        self._recording.start()
        return self._recording.written

    async def stop(self) -> None:
        """Finish the file; doing it again changes nothing."""
        recording, self._recording = self._recording, None
        if recording is not None:
            await recording.close()

    def state(self) -> dict[str, object] | None:
        """What the API answers; None: it does not record."""
        return self._recording.state() if self._recording else None


def of_session(session: Session, records: Path | None) -> Recorder:
    """All sessions' recordings share one limit: they come and go under names without number."""
    if records is None:
        return Recorder(session, None)
    folder = records / OF_SESSIONS
    return Recorder(session, folder / session.id, folder)
